/* A start request that starts nothing: the mapping, the account, and the real `prepare` as the user
 * up to the point where it would begin to make things. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/paths.h"
#include "lib/base/uuid.h"
#include "lib/fernet/fernet.h"
#include "lib/handover/handover.h"
#include "manager/explain/explain.h"
#include "manager/listener/compose.h"

#define OPEN_FROM 20 /* descriptors wait above the fixed numbers */
#define SHOWN_MAX (16u << 20)

struct request {
    struct command *command;
    struct site site;
    char key[FERNET_KEY_TEXT];
};

/* The command that the service would send. */
static struct command *make_command(const struct explain *x, struct json_object *options,
                                    struct json_object *runtime, struct err *err)
{
    char id[UUID_TEXT];
    autobuf struct buf text = BUF_INIT;
    struct command_fault fault = COMMAND_FAULT_INIT;
    autojson struct json_object *o = json_object_new_object();
    struct json_object *kwargs = json_object_new_object(), *creds = json_object_new_object();
    uuid_random(id);
    json_add_str(creds, "endpoint_id", id);
    json_add_str(kwargs, "name", "simulated");
    json_add(kwargs, "amqp_creds", creds);
    json_add(kwargs, "user_opts", json_object_get(options));
    json_add(kwargs, "user_runtime", json_object_get(runtime));
    json_add_str(o, "command", "cmd_start_endpoint");
    json_add(o, "kwargs", kwargs);
    json_add_str(o, "globus_effective_identity", "");
    json_add_str(o, "globus_username", "");
    json_add(o, "globus_identity_set", json_object_get(x->identities));
    json_write(&text, o);
    int64_t now = (int64_t)time(NULL);
    struct command_message m = {.content_type = "application/json",
                                .timestamp = now,
                                .body = text.data,
                                .body_len = text.len,
                                .request_id = "simulated"};
    struct command *c = command_read(&m, now, &fault);
    if (c && command_check(c, &fault) < 0) {
        command_drop(c);
        c = NULL;
    }
    if (!c)
        err_set(err, "%s", fault.log.data);
    command_fault_clear(&fault);
    return c;
}

/* ---- the child ---- */

static int open_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, OPEN_FROM);
}

static int above(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, OPEN_FROM);
}

static void become(const char *name, uid_t uid, gid_t gid)
{
    if (geteuid() == 0 &&
        (initgroups(name, gid) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0))
        handover_fail(73, "(PermissionError) the account can't be taken", "");
}

static void run_prepare(const int fds[HANDOVER_END], const struct passwd *pw, int out)
    __attribute__((noreturn));

static void run_prepare(const int fds[HANDOVER_END], const struct passwd *pw, int out)
{
    static char *const bare[] = {NULL};
    autofree char *program = paths_libexec("prepare");
    char *const argv[] = {program, (char *)"--show", NULL};
    if (dup2(out, STDOUT_FILENO) < 0)
        _exit(126);
    for (int i = HANDOVER_CREDENTIALS; i < HANDOVER_END; i++) {
        if (fds[i] < 0)
            close(i);
        else if (dup2(fds[i], i) < 0)
            _exit(126);
    }
    close_range(HANDOVER_END, ~0u, 0);
    become(pw->pw_name, pw->pw_uid, pw->pw_gid);
    if (chdir("/") == 0)
        execve(program, argv, geteuid() == 0 ? bare : environ);
    handover_fail(87, "(FileNotFoundError) prepare can't be run", program);
}

/* ---- the parent ---- */

static void prepare_files(const struct explain *x, int fds[HANDOVER_END])
{
    autofree char *template = config_template_path(x->config, x->dir);
    autofree char *schema = config_schema_path(x->config, x->dir);
    autofree char *environment = config_environment_path(x->config, x->dir);
    autofree char *template_at = explain_path(x, template);
    autofree char *schema_at = explain_path(x, schema);
    fds[HANDOVER_TEMPLATE] = open_file(template_at);
    fds[HANDOVER_SCHEMA] = open_file(schema_at);
    fds[HANDOVER_ENVIRONMENT] = open_file(environment);
}

/* {"config", "environment", "program"}, or {"code", "user_text", "admin_text"}. */
static struct json_object *result(int out, int status, pid_t pid, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    struct handover_record r = {0};
    int ended = 0;
    int rc = fs_read_fd(out, SHOWN_MAX, "the output of prepare", &text, err);
    ssize_t n = read(status, &r, sizeof(r));
    while (waitpid(pid, &ended, 0) < 0 && errno == EINTR)
        ;
    if (n != (ssize_t)sizeof(r) && rc == 0 && ended == 0)
        return json_read(text.data ? text.data : "", text.len, SHOWN_MAX, "output of prepare", err);
    struct json_object *o = json_object_new_object();
    if (n == (ssize_t)sizeof(r)) {
        r.user[sizeof(r.user) - 1] = r.admin[sizeof(r.admin) - 1] = '\0';
        json_add_int(o, "code", r.code);
        json_add_str(o, "user_text", r.user);
        json_add_str(o, "admin_text", r.admin);
    } else {
        json_add_int(o, "code", 70);
        json_add_str(o, "user_text", "");
        json_add_str(o, "admin_text", "prepare ended without saying why");
    }
    return o;
}

static struct json_object *show(const struct explain *x, const struct request *q,
                                const struct compose_person *person, struct err *err)
{
    int fds[HANDOVER_END], out[2], status[2];
    const struct passwd *pw = getpwnam(person->account);
    if (!pw || (geteuid() != 0 && pw->pw_uid != geteuid())) {
        err_set(err, "only root, or %s itself, can render as %s", person->account, person->account);
        return NULL;
    }
    for (int i = 0; i < HANDOVER_END; i++)
        fds[i] = -1;
    prepare_files(x, fds);
    fds[HANDOVER_CREDENTIALS] =
        above(compose_credentials(person->key, q->command->amqp_creds, err));
    fds[HANDOVER_BLOB] = above(compose_blob(&q->site, q->command, person, err));
    if (pipe2(out, O_CLOEXEC) < 0 || pipe2(status, O_CLOEXEC) < 0) {
        err_errno(err, "no pipe");
        return NULL;
    }
    fds[HANDOVER_STATUS] = above(status[1]);
    int write_end = above(out[1]);
    pid_t pid = fork();
    if (pid == 0)
        run_prepare(fds, pw, write_end);
    close(write_end);
    close(out[1]);
    close(status[1]);
    for (int i = 0; i < HANDOVER_END; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return pid < 0 ? (err_errno(err, "can't fork"), NULL) : result(out[0], status[0], pid, err);
}

static struct json_object *limits(const struct config *c)
{
    struct json_object *o = json_object_new_object();
    json_add_int(o, "max_user_endpoints", c->max_user_endpoints);
    json_add_int(o, "max_user_endpoints_per_user", c->max_user_endpoints_per_user);
    json_add_int(o, "max_starts_per_user_per_minute", c->max_starts_per_user_per_minute);
    json_add_int(o, "minimum_free_memory_mib", c->minimum_free_memory_mib);
    json_add_bool(o, "no_new_privs", c->no_new_privs && !c->pam_enable);
    json_add_str(o, "pam_service", c->pam_enable ? c->pam_service_name : NULL);
    return o;
}

static void print_environment(struct json_object *env)
{
    printf("Environment:\n");
    json_object_object_foreach(env, name, value)
        printf("  %s=%s\n", name, json_object_get_string(value));
}

static void print_result(struct json_object *o)
{
    if (!json_str_or(o, "config", NULL)) {
        int64_t code = 0;
        json_get_int(o, "code", &code, NULL);
        printf("It would not start: exit code %d; %s\n", (int)code,
               json_str_or(o, "user_text", "?"));
        if (*json_str_or(o, "admin_text", ""))
            printf("  for the administrator: %s\n", json_str_or(o, "admin_text", ""));
        return;
    }
    print_environment(json_at(o, "environment"));
    printf("Program: %s\n", json_str_or(o, "program", "NOT FOUND on the PATH above"));
    printf("Configuration:\n%s\n", json_str_or(o, "config", ""));
}

/* 0 when it would start. */
static int render(struct explain *x, struct json_object *answer, const char *account,
                  struct err *err)
{
    autojson struct json_object *options = NULL, *runtime = NULL;
    struct request q = {.site = {.config = x->config, .maps = true}};
    if (x->options_path && !(options = explain_read_json(x->options_path, "user options", err)))
        return -1;
    if (x->runtime_path && !(runtime = explain_read_json(x->runtime_path, "user runtime", err)))
        return -1;
    if (options && !json_object_is_type(options, json_type_object))
        return err_set(err, "%s: the options must be an object", x->options_path);
    q.command = make_command(x, options, runtime, err);
    if (!q.command)
        return -1;
    autofree char *template = config_template_path(x->config, x->dir);
    q.site.template_path = explain_path(x, template);
    q.site.privileged = geteuid() == 0;
    q.site.parent_config = config_as_json(x->config);
    fernet_key_new(q.key);
    struct compose_person person = {.account = account,
                                    .key = q.key,
                                    .matched_identity =
                                        json_str_or(answer, "matched_identity", NULL),
                                    .candidates = json_at(answer, "candidates")};
    struct json_object *shown = show(x, &q, &person, err);
    if (shown)
        json_add(answer, "start", shown);
    free(q.site.template_path);
    json_object_put(q.site.parent_config);
    command_drop(q.command);
    return shown ? 0 : -1;
}

int explain_simulate(struct explain *x)
{
    struct err err = ERR_INIT;
    bool accepted = false;
    if (!x->config)
        return explain_fail(x, "no endpoint is given");
    if (explain_read_identities(x, &err) < 0)
        return explain_fail(x, err.text);
    autojson struct json_object *answer = explain_mapping(x, &err);
    if (!answer)
        return explain_fail(x, err.text);
    const char *name = json_str_or(answer, "username", NULL);
    if (name) {
        json_add(answer, "account", explain_account(x, name));
        json_get_bool(answer, "account.accepted", &accepted, NULL);
    }
    json_add(answer, "limits", limits(x->config));
    if (accepted && render(x, answer, name, &err) < 0)
        return explain_fail(x, err.text);
    if (x->json) {
        print_json(stdout, answer);
    } else if (json_str_or(answer, "error", NULL)) {
        return explain_fail(x, json_str_or(answer, "error", ""));
    } else {
        print_mapping(stdout, answer);
        if (name)
            print_account(stdout, json_at(answer, "account"));
        if (accepted)
            print_result(json_at(answer, "start"));
    }
    return accepted && json_str_or(answer, "start.config", NULL) ? 0 : 1;
}
