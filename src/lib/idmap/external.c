/* External mappers: a program of the site gets the identity set on its standard input and answers
 * with names.  It runs without a shell, with a bare environment, for at most five seconds. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/uuid.h"
#include "lib/idmap/private.h"

#define ANSWER_MAX (1u << 20)
#define LIMIT_S 5

static const char connector_id[] = "145812c8-decc-41f1-83cf-bb2a85a2a70b";
static const char input_type[] = "identity_mapping_input#1.0.0";
static const char output_type[] = "identity_mapping_output#1.0.0";

struct external {
    struct spawn *spawn;
    struct json_object *identities;
    struct finding *finding;
    char *command; /* for messages */
    void (*done)(void *arg);
    void *arg;
};

static void external_free(struct external *x)
{
    json_object_put(x->identities);
    free(x->command);
    free(x);
}

static bool is_known_id(struct json_object *identities, const char *id)
{
    size_t n = json_object_array_length(identities);
    for (size_t i = 0; i < n; i++) {
        const char *known = json_str_or(json_object_array_get_idx(identities, i), "id", NULL);
        if (known != NULL && strcmp(known, id) == 0)
            return true;
    }
    return false;
}

/* Only these keys, at this level. */
static int only(struct json_object *o, const char *a, const char *b, struct err *err)
{
    json_object_object_foreach(o, key, value)
    {
        (void)value;
        if (strcmp(key, a) != 0 && strcmp(key, b) != 0)
            return err_set(err, "unknown field '%s'; '%s' and '%s' are known", key, a, b);
    }
    return 0;
}

static int read_entry(struct json_object *entry, struct json_object *identities,
                      struct json_object *results, struct err *err)
{
    const char *text, *name;
    char id[UUID_TEXT];
    if (!json_object_is_type(entry, json_type_object))
        return err_set(err, "an entry of 'result' must be an object, it is %s", json_kind(entry));
    if (only(entry, "id", "output", err) != 0 || json_get_str(entry, "id", &text, err) != 0 ||
        json_get_str(entry, "output", &name, err) != 0)
        return -1;
    if (!uuid_parse(text, id))
        return err_set(err, "'id' is not a UUID: %.64s", text);
    if (!is_known_id(identities, id))
        return err_code(err, ENOENT, "Invalid ID in result");
    struct json_object *names;
    if (!json_object_object_get_ex(results, id, &names)) {
        names = json_object_new_array();
        json_object_object_add(results, id, names);
    }
    json_object_array_add(names, json_object_new_string(name));
    return 0;
}

/* The program's answer as {id: [names]}; NULL on error. */
static struct json_object *read_answer(const char *p, size_t n, struct json_object *identities,
                                       struct err *err)
{
    autojson struct json_object *answer = json_read(p, n, ANSWER_MAX, "the answer", err);
    if (answer == NULL)
        return NULL;
    struct json_object *list, *type;
    if (!json_object_is_type(answer, json_type_object)) {
        err_set(err, "the answer must be an object, it is %s", json_kind(answer));
        return NULL;
    }
    if (only(answer, "DATA_TYPE", "result", err) != 0)
        return NULL;
    if (json_object_object_get_ex(answer, "DATA_TYPE", &type) &&
        strcmp(json_str_or(answer, "DATA_TYPE", ""), output_type) != 0) {
        err_set(err, "DATA_TYPE must be %s", output_type);
        return NULL;
    }
    if (json_get_list(answer, "result", &list, err) != 0)
        return NULL;
    struct json_object *results = json_object_new_object();
    size_t count = json_object_array_length(list);
    for (size_t i = 0; i < count; i++)
        if (read_entry(json_object_array_get_idx(list, i), identities, results, err) != 0) {
            json_object_put(results);
            return NULL;
        }
    return results;
}

static void conclude(struct external *x, const struct spawn_result *r)
{
    struct finding *f = x->finding;
    struct err err = ERR_INIT;
    int stderr_len = (int)(r->errout_len < 1000 ? r->errout_len : 1000);
    f->candidates = json_object_new_array();
    if (r->timed_out) {
        f->failure = xasprintf("(TimeoutExpired) Command '%s' timed out after %d seconds",
                               x->command, LIMIT_S);
        return;
    }
    if (r->exit_code != 0) {
        f->failure = xasprintf("(IdentityMappingError) Error mapping identities\n"
                               "    command: %s\n  exit code: %d\n     stderr: %.*s",
                               x->command, r->signal != 0 ? -r->signal : r->exit_code, stderr_len,
                               r->errout);
        return;
    }
    if (r->out_len == 0)
        return;
    struct json_object *results = read_answer(r->out, r->out_len, x->identities, &err);
    if (results == NULL && err.code == ENOENT)
        f->failure = xasprintf("(InvalidMappingError) %s", err.text);
    else if (results == NULL)
        f->failure = xasprintf("(IdentityMappingError) The mapping application yielded an invalid "
                               "result:\n  exception: %s\n    command: %s\n     stderr: %.*s",
                               err.text, x->command, stderr_len, r->errout);
    else if (json_object_object_length(results) > 0)
        json_object_array_add(f->candidates, json_object_get(results));
    json_object_put(results);
}

static void ended_cb(void *arg, const struct spawn_result *r)
{
    struct external *x = arg;
    conclude(x, r);
    void (*done)(void *) = x->done;
    void *done_arg = x->arg;
    external_free(x);
    done(done_arg);
}

static void input_document(struct buf *b, struct json_object *identities)
{
    autojson struct json_object *o = json_object_new_object();
    json_add_str(o, "DATA_TYPE", input_type);
    json_add(o, "identities", json_object_get(identities));
    json_write(b, o);
}

/* command… -c CONNECTOR -s ENDPOINT -a; the words are borrowed, the list is the caller's. */
static const char **argument_list(const struct mapper *m, const char *endpoint_id)
{
    size_t n = 0;
    while (m->command[n] != NULL)
        n++;
    const char **argv = xcalloc(n + 6, sizeof(*argv));
    for (size_t i = 0; i < n; i++)
        argv[i] = m->command[i];
    const char *const rest[] = {"-c", connector_id, "-s", endpoint_id, "-a"};
    for (size_t i = 0; i < 5; i++)
        argv[n + i] = rest[i];
    return argv;
}

static void bare_environment(char *slots[4])
{
    static const char *const names[] = {"PATH", "HOME", "LANG"};
    static const char *const otherwise[] = {"/usr/local/bin:/usr/bin:/bin", "/", "C.UTF-8"};
    for (size_t i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        slots[i] = xasprintf("%s=%s", names[i], value != NULL ? value : otherwise[i]);
    }
    slots[3] = NULL;
}

static char *in_words(const char *const *argv)
{
    struct buf b = BUF_INIT;
    for (size_t i = 0; argv[i] != NULL; i++)
        buf_fmt(&b, "%s%s", i > 0 ? " " : "", argv[i]);
    return buf_take(&b);
}

struct external *external_start(const struct mapper *m, struct loop *loop, const char *endpoint_id,
                                struct json_object *identities, struct finding *f,
                                void (*done)(void *arg), void *arg)
{
    autobuf struct buf input = BUF_INIT;
    struct err err = ERR_INIT;
    char *env[4];
    input_document(&input, identities);
    bare_environment(env);
    const char **argv = argument_list(m, endpoint_id);
    struct external *x = xcalloc(1, sizeof(*x));
    *x = (struct external){.identities = json_object_get(identities),
                           .finding = f,
                           .command = in_words(argv),
                           .done = done,
                           .arg = arg};
    x->spawn = spawn_start(loop,
                           &(struct spawn_opts){.argv = argv,
                                                .env = (const char *const *)env,
                                                .input = input.data,
                                                .input_len = input.len,
                                                .output_max = ANSWER_MAX,
                                                .timeout_us = LOOP_S(LIMIT_S)},
                           ended_cb, x, &err);
    if (x->spawn == NULL) {
        const char *type = err.code == ENOENT   ? "FileNotFoundError"
                           : err.code == EACCES ? "PermissionError"
                                                : "OSError";
        f->failure = xasprintf("(%s) [Errno %d] %s: '%s'", type, err.code, strerror(err.code),
                               m->command[0]);
        f->candidates = json_object_new_array();
        external_free(x);
        x = NULL;
    }
    free(argv);
    for (size_t i = 0; i < 3; i++)
        free(env[i]);
    return x;
}

void external_cancel(struct external *x)
{
    if (x == NULL)
        return;
    spawn_cancel(x->spawn);
    external_free(x);
}
