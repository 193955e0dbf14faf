/* See explain.h: arguments, and what all verbs read. */
#include "manager/explain/explain.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/uuid.h"
#include "lib/idmap/idmap.h"

#define DOCUMENT_MAX (4u << 20)

int explain_fail(const struct explain *x, const char *text)
{
    if (x->json) {
        autojson struct json_object *o = json_object_new_object();
        json_add_str(o, "error", text);
        print_json(stdout, o);
    }
    fprintf(stderr, "Error: %s\n", text);
    return 1;
}

char *explain_path(const struct explain *x, const char *path)
{
    return path[0] == '/' || !x->dir ? xstrdup(path) : xasprintf("%s/%s", x->dir, path);
}

struct json_object *explain_read_json(const char *path, const char *what, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    int rc = strcmp(path, "-") == 0 ? fs_read_fd(STDIN_FILENO, DOCUMENT_MAX, what, &text, err)
                                    : fs_read(path, DOCUMENT_MAX, &text, err);
    if (rc < 0)
        return NULL;
    struct json_object *o =
        json_read(text.data ? text.data : "", text.len, DOCUMENT_MAX, what, err);
    if (!o)
        err_prefix(err, "%s", path);
    return o;
}

int explain_read_identities(struct explain *x, struct err *err)
{
    static const char *const keys[] = {"identities", "globus_identity_set"};
    if (!x->identities_path)
        return err_set(err, "no identities are given: use --identities FILE (- for standard "
                            "input)");
    struct json_object *o = explain_read_json(x->identities_path, "identities", err);
    if (!o)
        return -1;
    for (size_t i = 0; i < 2 && json_object_is_type(o, json_type_object); i++) {
        struct json_object *list = json_at(o, keys[i]);
        if (!list)
            continue;
        json_object_get(list);
        json_object_put(o);
        o = list;
    }
    x->identities = o;
    if (json_object_is_type(o, json_type_array))
        return 0;
    return err_set(err, "%s: a list of identities is wanted, or an object with `identities`",
                   x->identities_path);
}

static void read_id(struct explain *x)
{
    autofree char *path = explain_path(x, "endpoint.json");
    autobuf struct buf text = BUF_INIT;
    if (x->endpoint_id)
        snprintf(x->id, sizeof(x->id), "%s", x->endpoint_id);
    if (x->endpoint_id || !x->dir || fs_read(path, DOCUMENT_MAX, &text, NULL) < 0)
        return;
    autojson struct json_object *o =
        json_read(text.data ? text.data : "", text.len, DOCUMENT_MAX, "endpoint.json", NULL);
    snprintf(x->id, sizeof(x->id), "%s", o ? json_str_or(o, "endpoint_id", "") : "");
}

/* config.yaml of --dir, the mapping's path, the endpoint's id. */
static int explain_open(struct explain *x, struct err *err)
{
    snprintf(x->id, sizeof(x->id), "00000000-0000-0000-0000-000000000000");
    read_id(x);
    if (x->mapping_path)
        x->mapping_file = xstrdup(x->mapping_path);
    if (!x->dir)
        return 0;
    x->config = config_load(x->dir, NULL, err);
    if (!x->config)
        return -1;
    if (!x->mapping_file && x->config->identity_mapping_config_path)
        x->mapping_file = explain_path(x, x->config->identity_mapping_config_path);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(struct explain *x);
} verbs[] = {
    {"map", explain_map},
    {"simulate", explain_simulate},
    {"lint", explain_lint},
};

static int run(struct explain *x, const char *verb)
{
    struct err err = ERR_INIT;
    bool is_lint = strcmp(verb, "lint") == 0; /* says itself what is wrong with config.yaml */
    if (explain_open(x, &err) < 0 && !is_lint)
        return explain_fail(x, err.text);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verbs[i].name, verb) == 0)
            return verbs[i].run(x);
    fprintf(stderr, "usage: explain map|simulate|lint ...   (run by globus-compute-endpoint)\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"endpoint-id", required_argument, NULL, 'i'},
                                            {"identities", required_argument, NULL, 's'},
                                            {"options", required_argument, NULL, 'o'},
                                            {"runtime", required_argument, NULL, 'r'},
                                            {"skew", required_argument, NULL, 'w'},
                                            {"no-clock", required_argument, NULL, 'n'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"check", no_argument, NULL, 'k'},
                                            {"first", no_argument, NULL, 'f'},
                                            {0}};
    struct explain x = {0};
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'd':
            x.dir = optarg;
            break;
        case 'c':
            x.mapping_path = optarg;
            break;
        case 'i':
            x.endpoint_id = optarg;
            break;
        case 's':
            x.identities_path = optarg;
            break;
        case 'o':
            x.options_path = optarg;
            break;
        case 'r':
            x.runtime_path = optarg;
            break;
        case 'w':
            x.skew = optarg;
            break;
        case 'n':
            x.no_clock = optarg;
            break;
        case 'j':
            x.json = true;
            break;
        case 'k':
            x.check = true;
            break;
        case 'f':
            x.first = true;
            break;
        default:
            return 2;
        }
    }
    int rc = run(&x, optind < argc ? argv[optind] : "");
    config_free(x.config);
    json_object_put(x.identities);
    free(x.mapping_file);
    return rc;
}
