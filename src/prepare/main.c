/* prepare: what happens after the drop and before the user endpoint.
 *
 * The session execs it as the user, with the descriptors of lib/handover/handover.h; it renders the
 * configuration, rebuilds the environment, and execs the user endpoint with the document of
 * spec endpoint-manager.md 10 on standard input.  Each step holds, or the process ends with the
 * step's code and one record in the status pipe (fail.h); nothing is left behind but the log.
 *
 * Steps: request and the administrator's files; user_environment.yaml; defaults; umask; rendering
 * (renderer.h); working directory; title; folder and log (places.h); document; standard streams;
 * signals; exec.
 *
 * `prepare --show` stops before it makes anything, and says what configuration and environment it
 * came to: for `globus-compute-endpoint simulate`. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <dirent.h>
#include <pwd.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/paths.h"
#include "lib/base/proctitle.h"
#include "lib/handover/handover.h"
#include "lib/schema/schema.h"
#include "lib/template/template.h"
#include "lib/yaml/yaml.h"
#include "prepare/environment.h"
#include "prepare/fail.h"
#include "prepare/places.h"
#include "prepare/renderer.h"

#define ENVIRONMENT_FILE_MAX (1u << 20)
#define PROCESS "UserEndpointProcess_Bootstrap(PreExec)"

struct prepare {
    struct blob *blob;
    struct passwd account;
    const char *home;
    struct buf template, schema;
    bool has_schema;
    struct environment *env;
    char *wish; /* working directory, in the seed's spelling */
    struct buf config;
    char *log_path;
};

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* ---- request and files ---- */

static void read_file(int fd, size_t max, const char *what, struct buf *out)
{
    struct err err = ERR_INIT;
    if (lseek(fd, 0, SEEK_SET) < 0 && errno != ESPIPE)
        fail_errno(STEP_SETUP, NULL, "the %s cannot be read", what);
    if (fs_read_fd(fd, max, what, out, &err) < 0)
        fail(STEP_SETUP, "OSError", err.text, "the %s cannot be read", what);
}

static void find_account(struct prepare *p)
{
    errno = 0;
    const struct passwd *pw = getpwnam(p->blob->account);
    if (pw == NULL)
        fail(STEP_SETUP, "KeyError", p->blob->account, "the local account is not known any more");
    if (pw->pw_uid != getuid() || pw->pw_uid != geteuid())
        fail(STEP_SETUP, "PermissionError", "prepare does not run as the account of the request",
             "failed to start endpoint");
    p->account = *pw;
    p->account.pw_name = xstrdup(pw->pw_name);
    struct stat st;
    bool has_home = stat(pw->pw_dir, &st) == 0 && S_ISDIR(st.st_mode);
    p->home = has_home ? xstrdup(pw->pw_dir) : "/";
}

static void read_request(struct prepare *p)
{
    struct err err = ERR_INIT;
    if (!is_open(HANDOVER_BLOB) || !is_open(HANDOVER_TEMPLATE) || !is_open(HANDOVER_CREDENTIALS))
        fail(STEP_SETUP, "OSError", "a descriptor of the hand-over is not open",
             "failed to start endpoint");
    p->blob = blob_read(HANDOVER_BLOB, &err);
    if (p->blob == NULL)
        fail(STEP_SETUP, "ValueError", err.text, "the start request could not be read");
    fail_about(p->blob);
    find_account(p);
    read_file(HANDOVER_TEMPLATE, TEMPLATE_SIZE_MAX, "user config template", &p->template);
    p->has_schema = is_open(HANDOVER_SCHEMA);
    if (!p->has_schema)
        return;
    read_file(HANDOVER_SCHEMA, SCHEMA_SIZE_MAX, "user config schema", &p->schema);
    autojson struct json_object *o = json_read(p->schema.data != NULL ? p->schema.data : "",
                                               p->schema.len, SCHEMA_SIZE_MAX, "schema", &err);
    if (o == NULL && err.text[0] != '\0')
        fail(STEP_SETUP, "JSONDecodeError", err.text, "The user config schema is not valid JSON");
}

/* ---- environment ---- */

static void begin_environment(struct prepare *p)
{
    autobuf struct buf text = BUF_INIT;
    p->env = environment_create();
    if (!p->blob->privileged)
        environment_inherit(p->env);
    if (p->blob->pam_environment)
        environment_pam(p->env);
    if (!is_open(HANDOVER_ENVIRONMENT))
        return;
    read_file(HANDOVER_ENVIRONMENT, ENVIRONMENT_FILE_MAX, "user_environment.yaml", &text);
    environment_file(p->env, text.data != NULL ? text.data : "", text.len, p->blob->seed_style,
                     &p->wish);
}

static void default_environment(struct prepare *p)
{
    autofree char *gce = paths_bin("globus-compute-endpoint");
    autofree char *path = xasprintf("/usr/local/bin:/usr/bin:/bin:%s", dirname(gce));
    environment_default(p->env, "HOME", p->home);
    environment_default(p->env, "USER", p->account.pw_name);
    environment_default(p->env, "PATH", path);
    environment_default(p->env, "GLOBUS_COMPUTE_ENDPOINT_NAME", p->blob->name);
    umask(p->blob->umask);
}

static void name_versions(struct prepare *p)
{
    const char *python = json_str_or(p->blob->user_runtime, "python.version", NULL);
    const char *sdk = json_str_or(p->blob->user_runtime, "globus_compute_sdk_version", NULL);
    if (python != NULL && *python != '\0')
        environment_default(p->env, "GC_USER_PYTHON_VERSION", python);
    if (sdk != NULL && *sdk != '\0')
        environment_default(p->env, "GC_USER_SDK_VERSION", sdk);
}

/* ---- rendering ---- */

/* The folder of the template, if this user may list it. */
static char *template_dir(const struct prepare *p)
{
    if (p->blob->template_path == NULL)
        return NULL;
    autofree char *copy = xstrdup(p->blob->template_path);
    const char *dir = dirname(copy);
    DIR *d = opendir(dir);
    if (d == NULL) {
        log_debug("User endpoint does not have permissions to load templates from %s; extends, "
                  "include, and import Jinja tags will not be supported",
                  dir);
        return NULL;
    }
    closedir(d);
    return xstrdup(dir);
}

static void render(struct prepare *p)
{
    autofree char *dir = template_dir(p);
    autojson struct json_object *identity = NULL, *env = NULL, *warnings = NULL;
    struct render_error failure;
    struct err err = ERR_INIT;
    const char *name = p->blob->template_path;
    identity = render_identity(getuid(), p->blob->globus_id, &err);
    if (identity == NULL)
        fail(STEP_RENDER, "KeyError", err.text, "the local account is not known any more");
    env = environment_json(p->env);
    struct render_input in = {
        .template_text = p->template.data != NULL ? p->template.data : "",
        .template_len = p->template.len,
        .template_name = name != NULL && strrchr(name, '/') != NULL ? strrchr(name, '/') + 1 : name,
        .template_dir = dir,
        .schema_text = p->has_schema ? (p->schema.data != NULL ? p->schema.data : "") : NULL,
        .schema_len = p->schema.len,
        .user_opts = p->blob->user_opts,
        .user_runtime = p->blob->user_runtime,
        .parent_config = p->blob->parent_config,
        .parent_config_source = p->blob->parent_config_source,
        .mapped_identity = identity,
        .env = env,
    };
    if (renderer_run(&in, &p->config, &warnings, &failure) < 0)
        fail(STEP_RENDER, failure.type, failure.where, "%s", failure.message);
    for (size_t i = 0; warnings != NULL && i < json_object_array_length(warnings); i++)
        log_warning("%s", json_object_get_string(json_object_array_get_idx(warnings, i)));
}

static void change_directory(struct prepare *p)
{
    char cwd[PATH_MAX];
    const char *wish = environment_get(p->env, "CWD");
    if (wish == NULL)
        wish = p->wish != NULL ? p->wish : p->home;
    if (chdir(wish) < 0)
        fail_errno(STEP_RENDER, wish, "the working directory cannot be entered");
    if (getcwd(cwd, sizeof(cwd)) == NULL)
        fail_errno(STEP_RENDER, wish, "the working directory has no path");
    environment_set(p->env, "CWD", cwd);
}

static void set_title(const struct prepare *p)
{
    autobuf struct buf line = BUF_INIT;
    for (size_t i = 0; i < p->blob->argc; i++)
        buf_fmt(&line, "%s%s", i > 0 ? " " : "", p->blob->argv[i]);
    proctitle_set("Endpoint starting up for %s [%s]", p->account.pw_name, line.data);
}

/* ---- configuration and document ---- */

static void check_config(struct prepare *p, bool only_look)
{
    static const char contact[] = "Error generating template; contact endpoint administrator";
    struct err err = ERR_INIT;
    struct json_object *found = NULL, *paths = NULL;
    autojson struct json_object *o = yaml_read(p->config.data != NULL ? p->config.data : "",
                                               p->config.len, "the rendered configuration", &err);
    if (o == NULL && err.text[0] != '\0')
        fail(STEP_DOCUMENT, "YAMLError", NULL, "%s", err.text);
    if (!json_object_is_type(o, json_type_object))
        fail(STEP_DOCUMENT, "AttributeError", NULL,
             "the rendered configuration is %s, not a mapping", json_kind(o));
    if (json_object_object_get_ex(o, "paths", &paths) && paths != NULL &&
        !json_object_is_type(paths, json_type_object))
        fail(STEP_DOCUMENT, "AttributeError", NULL,
             "`paths` of the configuration is not a mapping");
    p->log_path = places_make(p->env, p->blob->name, paths, only_look, &err);
    if (p->log_path == NULL)
        fail(STEP_DOCUMENT, err.code == EACCES ? "PermissionError" : "ValueError", err.text,
             "the directory or the log of the user endpoint cannot be made");
    if (json_object_object_get_ex(o, "high_assurance", &found)) {
        log_error("`high_assurance` may not be specified in template");
        fail(STEP_DOCUMENT, "ValueError", "`high_assurance` may not be specified in template", "%s",
             contact);
    }
    if (p->blob->high_assurance) {
        struct buf whole = BUF_INIT;
        buf_str(&whole, "high_assurance: true\n");
        buf_add(&whole, p->config.data, p->config.len);
        buf_free(&p->config);
        p->config = whole;
    }
}

/* The document of spec endpoint-manager.md 10, in a memory file: no pipe limits its size. */
static int make_document(const struct prepare *p)
{
    const struct blob *b = p->blob;
    struct err err = ERR_INIT;
    struct buf text = BUF_INIT;
    struct json_object *o = json_object_new_object();
    struct json_object *info =
        b->ep_info != NULL ? json_object_get(b->ep_info) : json_object_new_object();
    struct json_object *found;
    if (!json_object_object_get_ex(info, "posix_ppid", &found))
        json_add_int(info, "posix_ppid", getppid());
    json_add(o, "amqp_creds", json_object_get(b->amqp_creds));
    json_add(o, "config",
             json_object_new_string_len(p->config.data != NULL ? p->config.data : "",
                                        (int)p->config.len));
    json_add(o, "ep_info", info);
    json_add_int(o, "mem_fd", HANDOVER_CREDENTIALS);
    json_add_str(o, "enckey", b->enckey);
    if (b->allowed_functions != NULL)
        json_add(o, "allowed_functions", json_object_get(b->allowed_functions));
    if (b->audit && is_open(HANDOVER_AUDIT))
        json_add_int(o, "audit_fd", HANDOVER_AUDIT);
    if (b->survives_manager)
        json_add_bool(o, "survives_manager", true);
    json_write_ascii(&text, o);
    json_object_put(o);
    int fd = fs_memfd("document", text.data, text.len, true, &err);
    explicit_bzero(text.data, text.cap);
    buf_free(&text);
    if (fd < 0)
        fail(STEP_DOCUMENT, "OSError", err.text, "no memory for the document");
    return fd;
}

/* ---- standard streams, exec ---- */

/* The first line of the log names the request.  Not through the descriptor of set_streams(): each
 * write there waits for the disk. */
static void begin_log(const struct prepare *p)
{
    int log = open(p->log_path, O_CREAT | O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC, 0600);
    if (log < 0)
        fail_errno(STEP_STDOUT, p->log_path, "the log of the user endpoint cannot be opened");
    log_console(false, false);
    log_file(log, NULL);
    log_info("User endpoint %s starts as %s [request %s]", p->blob->name, p->account.pw_name,
             p->blob->correlation_id != NULL ? p->blob->correlation_id : "-");
    log_file(-1, NULL);
    close(log);
}

static void set_streams(struct prepare *p, int document)
{
    if (dup2(document, STDIN_FILENO) < 0)
        fail_errno(STEP_STDIN, NULL, "Unable to close stdin");
    close(document);
    int log =
        open(p->log_path, O_CREAT | O_WRONLY | O_APPEND | O_SYNC | O_NOCTTY | O_CLOEXEC, 0600);
    if (log < 0)
        fail_errno(STEP_STDOUT, p->log_path, "the log of the user endpoint cannot be opened");
    if (dup2(log, STDOUT_FILENO) < 0)
        fail_errno(STEP_STDOUT, NULL, "Unable to redirect stdout");
    if (dup2(log, STDERR_FILENO) < 0)
        fail_errno(STEP_STDERR, NULL, "Unable to redirect stderr");
    close(log);
}

/* `debug: true` in the rendered configuration: the log begins with it. */
static void show_config(const struct prepare *p)
{
    autojson struct json_object *o =
        yaml_read(p->config.data, p->config.len, "configuration", NULL);
    bool debug = false;
    autobuf struct buf b = BUF_INIT;
    char now[40];
    if (json_at(o, "debug") == NULL || json_get_bool(o, "debug", &debug, NULL) < 0 || !debug)
        return;
    clock_iso_local(clock_unix_ns(), now, sizeof(now));
    size_t lines = 1;
    for (size_t i = 0; i < p->config.len; i++)
        lines += p->config.data[i] == '\n';
    buf_fmt(&b,
            "%s DEBUG " PROCESS " Endpoint Begin Compute endpoint configuration (%zu lines):\n  | ",
            now, lines);
    for (size_t i = 0; i < p->config.len; i++) {
        buf_char(&b, p->config.data[i]);
        if (p->config.data[i] == '\n')
            buf_str(&b, "  | ");
    }
    buf_str(&b, "\nEnd Compute endpoint configuration\n");
    if (fs_write_all(STDOUT_FILENO, b.data, b.len) < 0)
        return; /* the log is full: the user endpoint will say so */
}

static char *find_program(const struct prepare *p)
{
    struct err err = ERR_INIT;
    const char *fixed = p->blob->user_endpoint_executable;
    if (fixed != NULL) {
        if (places_check_fixed(fixed, p->blob->privileged, &err) < 0)
            fail(STEP_RENDER, "PermissionError", err.text,
                 "the program of the user endpoint is not acceptable; contact the endpoint "
                 "administrator");
        return xstrdup(fixed);
    }
    char *found = places_find(p->env, p->blob->argv[0]);
    if (found == NULL)
        log_warning("Unable to find executable.\n  Executable (not found): %s\n  Path: \"%s\"\n\n"
                    "A common reason for this error is permissions; is the installation in a "
                    "root-only accessible location, like /root/?",
                    p->blob->argv[0], environment_get(p->env, "PATH"));
    return found;
}

static void reset_signals(void)
{
    sigset_t none;
    for (int s = 1; s < NSIG; s++)
        if (s != SIGKILL && s != SIGSTOP)
            signal(s, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void become_endpoint(struct prepare *p, const char *program)
{
    if (!p->blob->audit && is_open(HANDOVER_AUDIT))
        close(HANDOVER_AUDIT);
    /* The status pipe closes with a successful exec, and that is the good news. */
    if (close_range(HANDOVER_BLOB, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        fail_errno(STEP_CLOSE, NULL, "descriptors cannot be closed");
    fcntl(HANDOVER_CREDENTIALS, F_SETFD, 0);
    if (is_open(HANDOVER_AUDIT))
        fcntl(HANDOVER_AUDIT, F_SETFD, 0);
    if (program == NULL)
        fail(STEP_EXEC, "FileNotFoundError", environment_get(p->env, "PATH"),
             "%s is not on the PATH of the user endpoint; contact the endpoint administrator",
             p->blob->argv[0]);
    reset_signals();
    execve(program, (char *const *)p->blob->argv, environment_vector(p->env));
    fail_errno(STEP_EXEC, program, "the user endpoint cannot be executed");
}

/* ---- only to show it ---- */

/* `prepare --show` goes as far as this and writes what it came to to standard output. */
static int show(const struct prepare *p, const char *program)
{
    autobuf struct buf text = BUF_INIT;
    autojson struct json_object *o = json_object_new_object();
    json_add(o, "config",
             json_object_new_string_len(p->config.data != NULL ? p->config.data : "",
                                        (int)p->config.len));
    json_add(o, "environment", environment_json(p->env));
    json_add_str(o, "program", program);
    json_write(&text, o);
    return fs_write_all(STDOUT_FILENO, text.data, text.len) < 0 ? STEP_STDOUT : 0;
}

int main(int argc, char **argv)
{
    struct prepare p = {0};
    bool only_show = argc == 2 && strcmp(argv[1], "--show") == 0;
    /* The user must not look into this process while it holds the manager's descriptors. */
    prctl(PR_SET_DUMPABLE, 0);
    signal(SIGPIPE, SIG_IGN);
    proctitle_init(argc, argv);
    log_init(PROCESS, LOG_L_INFO);
    log_console(true, false);
    if (!is_open(HANDOVER_STATUS))
        return STEP_SETUP; /* somebody's shell: there is nobody to report to */
    read_request(&p);
    begin_environment(&p);
    default_environment(&p);
    render(&p);
    name_versions(&p);
    char *program = find_program(&p);
    change_directory(&p);
    check_config(&p, only_show);
    if (only_show)
        return show(&p, program);
    set_title(&p);
    int document = make_document(&p);
    begin_log(&p);
    set_streams(&p, document);
    show_config(&p);
    become_endpoint(&p, program);
    return STEP_EXEC;
}
