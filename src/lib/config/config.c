/* From text to struct config: see config.h. */
#include "lib/config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/config/private.h"
#include "lib/yaml/yaml.h"

#define HEARTBEAT_MIN 5.0

/* Line of a top-level or indented `key:`; 0 when it is spelt in another way. */
static unsigned line_of(const char *text, const char *key)
{
    size_t n = strlen(key);
    unsigned line = 1;
    for (const char *at = text; at; line++) {
        const char *word = at + strspn(at, " \t\"'");
        if (strncmp(word, key, n) == 0 && word[n + strspn(word + n, " \t\"'")] == ':')
            return line;
        at = strchr(at, '\n');
        if (at)
            at++;
    }
    return 0;
}

void problem_add(struct problems *p, const struct field *f, const char *key, const char *kind,
                 struct json_object *value, const char *message)
{
    const char *plain = strrchr(key, '.') ? strrchr(key, '.') + 1 : key;
    autobuf struct buf shown = BUF_INIT;
    if (value)
        json_write(&shown, value);
    else
        buf_str(&shown, "null");
    p->count++;
    p->core |= f && f->group == GROUP_CORE;
    buf_fmt(&p->list, "\n%s\n  %s [type=%s, input_value=%.60s%s]", key, message, kind, shown.data,
            shown.len > 60 ? "..." : "");
    unsigned line = line_of(p->text, plain);
    if (line)
        buf_fmt(&p->list, "\n    line %u", line);
    if (f)
        return;
    const char *guess = field_guess(key, false);
    if (!guess)
        guess = field_guess(key, true);
    if (guess)
        buf_fmt(&p->list, "%s did you mean `%s`?", line ? ";" : "\n   ", guess);
}

static void take_all(struct config *c, struct problems *p)
{
    const struct field *style = field_find("multi_user", GROUP_BASE);
    struct json_object *member = NULL;
    if (json_object_object_get_ex(c->tree, "multi_user", &member))
        field_take(c, style, member, p);
    json_object_object_foreach(c->tree, key, value)
    {
        const struct field *f = field_find(key, GROUP_BASE);
        if (f == style)
            continue;
        if (!f || (f->seed_only && !c->seed_style))
            problem_add(p, NULL, key, "unexpected_keyword_argument", value,
                        "Unexpected keyword argument");
        else
            field_take(c, f, value, p);
    }
}

static void warn(struct config *c, const char *text)
{
    json_object_array_add(c->warnings, json_object_new_string(text));
}

/* The text goes to the service with the registration: say so when a key looks like a secret. */
static void warn_secrets(struct config *c)
{
    static const char *const words[] = {"password", "secret", "passwd", "api_key", "private_key"};
    json_object_object_foreach(c->tree, key, value)
    {
        (void)value;
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            if (!strcasestr(key, words[i]))
                continue;
            autofree char *text = xasprintf("config.yaml: `%s` looks like a secret; the whole file "
                                            "is sent to the web service at registration",
                                            key);
            warn(c, text);
        }
    }
}

static void settle(struct config *c)
{
    if (c->display_name && strcmp(c->display_name, "None") == 0) {
        free(c->display_name);
        c->display_name = NULL;
    }
    if (c->heartbeat_period < HEARTBEAT_MIN) {
        autofree char *text = xasprintf("Heartbeat minimum is %.1fs (requested: %g)", HEARTBEAT_MIN,
                                        c->heartbeat_period);
        warn(c, text);
        c->heartbeat_period = HEARTBEAT_MIN;
    }
    if (c->force_mu_allow_same_user)
        warn(c, "`force_mu_allow_same_user` is set: a very dangerous override; user endpoints may "
                "run as the account of the manager");
    warn_secrets(c);
}

static int check_ranges(struct config *c, struct problems *p)
{
    struct json_object *member;
    if (c->amqp_port < 0 || c->amqp_port > 65535) {
        json_object_object_get_ex(c->tree, "amqp_port", &member);
        problem_add(p, field_find("amqp_port", GROUP_BASE), "amqp_port", "port_range", member,
                    "Input should be a port, 1 to 65535");
    }
    return p->count ? -1 : 0;
}

/* dict() of Python also takes a list of pairs; NULL with a sentence for anything else. */
static struct json_object *as_mapping(struct json_object *doc, struct err *err)
{
    if (json_object_is_type(doc, json_type_object))
        return doc;
    struct json_object *map = json_object_new_object();
    bool is_list = json_object_is_type(doc, json_type_array);
    size_t n = is_list ? json_object_array_length(doc) : 0;
    /* What Python calls false is an empty mapping: 0, false, [], "". */
    bool is_false = is_list ? n == 0 : !json_object_get_boolean(doc);
    for (size_t i = 0; i < n; i++) {
        struct json_object *pair = json_object_array_get_idx(doc, i);
        if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) != 2)
            break;
        const char *key = json_object_get_string(json_object_array_get_idx(pair, 0));
        json_object_object_add(map, key ? key : "None",
                               json_object_get(json_object_array_get_idx(pair, 1)));
        is_false = i + 1 == n;
    }
    if (!is_false) {
        err_set(err,
                "Invalid config syntax: the document must be a mapping of keys to values, not %s",
                json_kind(doc));
        json_object_put(map);
        map = NULL;
    }
    json_object_put(doc);
    return map;
}

static struct json_object *read_tree(const char *text, size_t n, const char *what, struct err *err)
{
    struct err yaml = ERR_INIT;
    struct json_object *doc = yaml_read(text, n, what, &yaml);
    if (!doc && yaml.text[0]) {
        err_set(err, "Invalid config syntax: %s", yaml.text);
        return NULL;
    }
    return doc ? as_mapping(doc, err) : json_object_new_object();
}

static void report_problems(struct problems *p, const char *what, struct buf *report,
                            struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    buf_fmt(&text, "%u validation error%s for %s", p->count, p->count == 1 ? "" : "s",
            p->core ? "CoreEndpointConfig.__init__" : "BaseConfig.__init__");
    buf_str(&text, p->list.data);
    buf_fmt(&text, "\n  in %s", what);
    err_set(err, "%s", text.data);
    if (report)
        buf_add(report, text.data, text.len);
}

struct config *config_parse(const char *text, size_t n, const char *what, struct buf *report,
                            struct err *err)
{
    struct config *c = xcalloc(1, sizeof(*c));
    struct problems p = {0};
    struct json_object *engine = NULL;
    c->source = xstrndup(n ? text : "", n);
    p.text = c->source;
    config_defaults(c);
    c->tree = read_tree(c->source, n, what, err);
    if (!c->tree) {
        if (report && err)
            buf_str(report, err->text);
        goto fail;
    }
    json_object_object_get_ex(c->tree, "engine", &engine);
    c->has_engine = engine != NULL;
    if (c->has_engine)
        return c;
    take_all(c, &p);
    if (check_ranges(c, &p) < 0) {
        report_problems(&p, what, report, err);
        goto fail;
    }
    settle(c);
    return c;
fail:
    buf_free(&p.list);
    config_free(c);
    return NULL;
}

struct config *config_load(const char *epdir, struct buf *report, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    struct err local = ERR_INIT;
    struct stat st;
    autofree char *python = xasprintf("%s/config.py", epdir);
    autofree char *path = xasprintf("%s/config.yaml", epdir);
    if (stat(python, &st) == 0) {
        err_set(err, "config.py is not supported; write %s instead and remove %s", path, python);
    } else if (fs_read(path, CONFIG_SIZE_MAX, &text, &local) == 0 || local.code == ENOENT) {
        return config_parse(text.data, text.len, path, report, err);
    } else if (err) {
        *err = local;
    }
    if (report && err)
        buf_str(report, err->text);
    return NULL;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < config_fields_count; i++) {
        const struct field *f = &config_fields[i];
        char *at = (char *)c + f->offset;
        if (f->kind == FIELD_TEXT || f->kind == FIELD_PATH || f->kind == FIELD_ID)
            free(*(char **)at);
        else if (f->kind == FIELD_IDS || f->kind == FIELD_NAMES)
            json_object_put(*(struct json_object **)at);
    }
    free(c->pam_service_name);
    free(c->source);
    json_object_put(c->tree);
    json_object_put(c->warnings);
    free(c);
}
