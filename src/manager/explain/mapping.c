/* The mapping, evaluated in a child with the listener's account, as it will be. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/idmap/idmap.h"
#include "manager/explain/explain.h"

#define ANSWER_MAX (64u << 20)

/* Drops to the account of the listener for good. */
static int explain_drop(const struct explain *x, struct err *err)
{
    const char *name = x->config && x->config->listener_user ? x->config->listener_user : "nobody";
    if (geteuid() != 0)
        return 0;
    const struct passwd *pw = getpwnam(name);
    if (!pw || pw->pw_uid == 0)
        return err_set(err, "the account of the listener, %s, %s", name,
                       pw ? "must not be root" : "does not exist");
    if (setgroups(0, NULL) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
        return err_errno(err, "can't become %s", name);
    return 0;
}

int explain_become(const struct passwd *pw)
{
    if (geteuid() != 0)
        return 0;
    return initgroups(pw->pw_name, pw->pw_gid) < 0 ||
                   setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
                   setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0
               ? -1
               : 0;
}

/* ---- the child ---- */

struct evaluation {
    struct loop *loop;
    struct json_object *answer;
};

static void done_cb(void *arg, const struct idmap_outcome *o)
{
    struct evaluation *e = arg;
    json_add_str(e->answer, "username", o->username);
    json_add_str(e->answer, "matched_identity", o->matched_identity);
    json_add(e->answer, "candidates", json_object_get(o->candidates));
    json_add(e->answer, "warnings", json_object_get(o->warnings));
    json_add(e->answer, "explanation", json_object_get(o->explanation));
    loop_stop(e->loop, 0);
}

static struct json_object *failure(const struct explain *x, const char *text)
{
    struct json_object *o = json_object_new_object();
    autofree char *full =
        xasprintf("%s%s -- Unable to read identity mapping configuration from: %s",
                  text[0] == '(' ? "" : "(InvalidMappingError) ", text, x->mapping_file);
    json_add_str(o, "username", NULL);
    json_add_str(o, "matched_identity", NULL);
    json_add(o, "candidates", json_object_new_array());
    json_add_str(o, "error", full);
    return o;
}

static struct json_object *evaluate(const struct explain *x, const struct buf *text)
{
    struct err err = ERR_INIT;
    struct idmap *rules = idmap_load(text->data ? text->data : "", text->len, &err);
    if (!rules)
        return failure(x, err.text);
    struct evaluation e = {.loop = loop_create(), .answer = json_object_new_object()};
    json_add(e.answer, "notes", json_object_get(idmap_warnings(rules)));
    idmap_explain(rules, e.loop, x->id, x->identities, done_cb, &e);
    loop_run(e.loop);
    return e.answer;
}

static void child(const struct explain *x, const struct buf *text, int out)
    __attribute__((noreturn));

static void child(const struct explain *x, const struct buf *text, int out)
{
    struct err err = ERR_INIT;
    struct buf answer = BUF_INIT;
    if (explain_drop(x, &err) < 0) {
        struct json_object *o = json_object_new_object();
        json_add_str(o, "error", err.text);
        json_write(&answer, o);
    } else {
        json_write(&answer, evaluate(x, text));
    }
    _exit(fs_write_all(out, answer.data, answer.len) < 0);
}

/* ---- the parent ---- */

struct json_object *explain_mapping(const struct explain *x, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    autobuf struct buf answer = BUF_INIT;
    int ends[2], status = 0;
    if (!x->mapping_file) {
        err_set(err, "no identity mapping: give --config FILE, or -e NAME of an endpoint whose "
                     "config.yaml has identity_mapping_config_path");
        return NULL;
    }
    if (fs_read(x->mapping_file, IDMAP_FILE_MAX, &text, err) < 0)
        return failure(x, err->text);
    if (pipe(ends) < 0) {
        err_errno(err, "no pipe");
        return NULL;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(x, &text, ends[1]);
    }
    close(ends[1]);
    int rc = pid < 0 ? err_errno(err, "can't fork")
                     : fs_read_fd(ends[0], ANSWER_MAX, "the explanation", &answer, err);
    close(ends[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (rc == 0 && status != 0)
        rc = err_set(err, "the evaluation ended with status %d", status);
    return rc == 0 ? json_read(answer.data ? answer.data : "", answer.len, ANSWER_MAX,
                               "the explanation", err)
                   : NULL;
}

/* ---- globus-idm-validator's way of saying it ---- */

static int print_check(const struct explain *x, struct json_object *answer)
{
    if (json_str_or(answer, "error", NULL))
        return explain_fail(x, json_str_or(answer, "error", ""));
    if (x->first) {
        printf("\nFirst found mapped identity: %s\n", json_str_or(answer, "username", "None"));
        return 0;
    }
    printf("\nAll mapped identities: ");
    print_json(stdout, json_at(answer, "candidates"));
    return 0;
}

int explain_map(struct explain *x)
{
    struct err err = ERR_INIT;
    if (explain_read_identities(x, &err) < 0)
        return explain_fail(x, err.text);
    autojson struct json_object *answer = explain_mapping(x, &err);
    if (!answer)
        return explain_fail(x, err.text);
    if (x->check)
        return print_check(x, answer);
    const char *name = json_str_or(answer, "username", NULL);
    if (name)
        json_add(answer, "account", explain_account(x, name));
    if (x->json) {
        print_json(stdout, answer);
    } else if (json_str_or(answer, "error", NULL)) {
        return explain_fail(x, json_str_or(answer, "error", ""));
    } else {
        print_mapping(stdout, answer);
        if (name)
            print_account(stdout, json_at(answer, "account"));
    }
    return name ? 0 : 1;
}
