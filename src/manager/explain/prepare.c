/* The real `prepare` as the user, up to the point where it would begin to make things: what of a
 * start request becomes configuration, environment and program. */
#include <errno.h>
#include <fcntl.h>
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
    if (explain_become(pw) < 0)
        handover_fail(73, "(PermissionError) the account can't be taken", "");
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

int explain_prepare(struct explain *x, struct json_object *answer, const char *account,
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
