/* See mapping.h. */
#include "manager/listener/mapping.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"

struct mapping {
    struct outside *outside;
    struct loop *loop;
    char *path, *endpoint_id;
    struct idmap *rules;
    int first_fd; /* for the helper, until it can be told */
};

struct request {
    mapping_f *cb;
    void *arg;
};

struct mapping *mapping_create(struct outside *outside, const char *path, const char *endpoint_id)
{
    struct mapping *m = xcalloc(1, sizeof(*m));
    *m = (struct mapping){.outside = outside,
                          .path = xstrdup(path),
                          .endpoint_id = xstrdup(endpoint_id),
                          .first_fd = -1};
    return m;
}

void mapping_destroy(struct mapping *m)
{
    if (!m)
        return;
    idmap_free(m->rules);
    free(m->path);
    free(m->endpoint_id);
    free(m);
}

static struct idmap *read_rules(const struct mapping *m, const struct hello_file *f,
                                struct err *err)
{
    if (f->fd < 0) {
        int code = f->code ? f->code : ENOENT;
        const char *type = code == EACCES || code == EPERM ? "PermissionError"
                           : code == ENOENT                ? "FileNotFoundError"
                                                           : "OSError";
        err_code(err, code, "(%s) [Errno %d] %s: '%s'", type, code, strerror(code), m->path);
        return NULL;
    }
    struct idmap *rules = idmap_load(f->text.data ? f->text.data : "", f->text.len, err);
    if (!rules)
        return NULL;
    struct json_object *warnings = idmap_warnings(rules);
    for (size_t i = 0; i < json_object_array_length(warnings); i++)
        log_warning("%s: %s", m->path,
                    json_object_get_string(json_object_array_get_idx(warnings, i)));
    return rules;
}

int mapping_open(struct mapping *m, const struct hello_file *f, struct err *err)
{
    m->rules = read_rules(m, f, err);
    m->first_fd = f->fd;
    return m->rules ? 0 : -1;
}

static void ruled_cb(void *arg, const struct outside_packet *answer, struct json_object *document,
                     const char *why)
{
    const struct mapping *m = arg;
    if (!answer || answer->code)
        log_error("Unable to update identity configuration -- (OSError) %s\n  Identity "
                  "configuration path: %s",
                  answer ? answer->text : why, m->path);
}

static void tell_helper(struct mapping *m, int fd)
{
    if (idmap_has_external(m->rules))
        outside_rules(m->outside, fd, ruled_cb, m);
}

void mapping_attach(struct mapping *m, struct loop *l)
{
    m->loop = l;
    tell_helper(m, m->first_fd);
}

void mapping_reload(struct mapping *m, const struct hello_file *f)
{
    struct err err = ERR_INIT;
    struct idmap *rules = read_rules(m, f, &err);
    if (!rules) {
        log_error("Unable to update identity configuration -- %s%s\n  Identity configuration path: "
                  "%s",
                  err.text[0] == '(' ? "" : "(InvalidMappingError) ", err.text, m->path);
        return;
    }
    idmap_free(m->rules); /* evaluations under way keep theirs */
    m->rules = rules;
    tell_helper(m, f->fd);
}

static void answered_cb(void *arg, const struct outside_packet *answer,
                        struct json_object *document, const char *why)
{
    struct request *r = arg;
    if (!answer || answer->code || !document) {
        r->cb(r->arg, NULL, answer ? answer->text : why);
    } else {
        struct idmap_outcome o = {
            .username = json_str_or(document, "username", NULL),
            .matched_identity = json_str_or(document, "matched_identity", NULL),
            .candidates = json_at(document, "candidates"),
            .warnings = json_at(document, "warnings"),
        };
        r->cb(r->arg, &o, NULL);
    }
    free(r);
}

static void evaluated_cb(void *arg, const struct idmap_outcome *outcome)
{
    struct request *r = arg;
    r->cb(r->arg, outcome, NULL);
    free(r);
}

void mapping_ask(struct mapping *m, struct json_object *identities, mapping_f *cb, void *arg)
{
    struct request *r = xcalloc(1, sizeof(*r));
    *r = (struct request){.cb = cb, .arg = arg};
    if (idmap_has_external(m->rules))
        outside_map(m->outside, m->endpoint_id, identities, answered_cb, r);
    else
        idmap_eval(m->rules, m->loop, m->endpoint_id, identities, evaluated_cb, r);
}
