/* A user endpoint: started by a manager as the user, with one JSON document on standard input
 * (document.h), it takes tasks from the broker, runs them on nodes, returns their results, and
 * leaves when it is idle, told to, or left alone.
 *
 * Order: directory, document, log, then startup.h's checks, each of whose failures is reported to
 * the service; then endpoint.h. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "endpoint/endpoint.h"
#include "endpoint/home.h"
#include "endpoint/parent.h"
#include "endpoint/preview.h"
#include "endpoint/startup.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/proctitle.h"

static const char usage[] =
    "Usage: user-endpoint [--debug] [--log-to-console] [--no-color] [NAME_OR_UUID]\n"
    "\n"
    "Started by an endpoint manager, with one JSON document on standard input.\n"
    "With --print-script it only says what it would submit (preview.h).\n";

static const char no_document[] =
    "Missing or invalid endpoint information from stdin. (Hint: this command is not meant to be "
    "invoked manually; it should only be run by a core endpoint process.)";

struct options {
    const char *name;
    bool debug, console, colour, help, preview;
};

static int read_options(struct options *o, int argc, char **argv)
{
    static const struct option table[] = {
        {"debug", no_argument, NULL, 'd'},
        {"log-to-console", no_argument, NULL, 'c'},
        {"no-color", no_argument, NULL, 'n'},
        {"die-with-parent", no_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {"print-script", no_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    int c;
    *o = (struct options){.name = "default", .colour = true};
    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1)
        switch (c) {
        case 'd':
            o->debug = true;
            break;
        case 'c':
            o->console = true;
            break;
        case 'n':
            o->colour = false;
            break;
        case 's':
            o->preview = true;
            break;
        case 'p': /* how older managers spell it */
            break;
        case 'h':
            o->help = true;
            return 0;
        default:
            return -1;
        }
    if (optind < argc)
        o->name = argv[optind];
    return 0;
}

static int read_document(struct document *d)
{
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    int rc = fs_read_fd(STDIN_FILENO, DOCUMENT_MAX, "standard input", &text, &err);
    if (rc == 0)
        rc = document_read(text.data != NULL ? text.data : "", text.len, d, &err);
    if (text.data != NULL)
        explicit_bzero(text.data, text.cap);
    buf_free(&text);
    if (rc != 0)
        fprintf(stderr, "%s\n", no_document);
    /* Nothing of it is left to our children, and what they read there is nothing. */
    int null = open("/dev/null", O_RDONLY);
    if (null > 0) {
        dup2(null, STDIN_FILENO);
        close(null);
    }
    return rc;
}

/* Descriptors of the document are ours alone. */
static void keep_to_ourselves(const struct document *d)
{
    if (d->mem_fd > 2)
        fcntl(d->mem_fd, F_SETFD, FD_CLOEXEC);
    if (d->audit_fd > 2)
        fcntl(d->audit_fd, F_SETFD, FD_CLOEXEC);
}

static void open_log(const struct options *o, const char *path)
{
    log_init("UserEndpoint", o->debug ? LOG_L_DEBUG : LOG_L_INFO);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0)
        log_file(fd, path);
    log_console(o->console || fd < 0, o->colour && isatty(STDERR_FILENO));
}

/* Many small threads and no large heap: one arena, given back early. */
static void tune_memory(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TRIM_THRESHOLD, 128 << 10);
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

static char *title_of(const struct startup *s, int argc, char **argv)
{
    struct buf b = BUF_INIT;
    buf_fmt(&b, "Globus Compute Endpoint (%s, %s)", s->queues.endpoint_id,
            strrchr(s->dir, '/') + 1);
    if (s->settings.environment != NULL)
        buf_fmt(&b, " - %s", s->settings.environment);
    buf_str(&b, " [");
    for (int i = 0; i < argc; i++)
        buf_fmt(&b, "%s%s", i > 0 ? " " : "", argv[i]);
    buf_char(&b, ']');
    return buf_take(&b);
}

static void term_cb(void *arg)
{
    endpoint_stop(arg, "a signal asked for the shutdown");
}

static void parent_gone_cb(void *arg)
{
    endpoint_stop(arg, "the manager is gone; shutting down");
}

static void pidfile_gone_cb(void *arg)
{
    endpoint_stop(arg, "the PID file was removed; shutting down");
}

/* The manager said its pid; an older one did not: then it is whoever is our parent now. */
static struct parent *watch_parent(struct startup *s, struct loop *l, struct endpoint *e,
                                   struct err *err)
{
    int64_t pid;
    if (json_get_int(s->document.ep_info, "posix_ppid", &pid, NULL) != 0)
        pid = getppid();
    return parent_watch(l, (pid_t)pid, parent_gone_cb, e, err);
}

static int run(struct startup *s, struct loop *l, const char *title, bool debug)
{
    struct endpoint *e = endpoint_create(l,
                                         &(struct endpoint_opts){.dir = s->dir,
                                                                 .document = &s->document,
                                                                 .settings = &s->settings,
                                                                 .engine = &s->engine,
                                                                 .credentials = s->credentials,
                                                                 .queues = &s->queues,
                                                                 .pidfile = s->pidfile,
                                                                 .title = title,
                                                                 .debug = debug},
                                         &s->err);
    if (e == NULL) {
        startup_fail(s, "OSError", 1);
        return startup_report(s);
    }
    struct parent *parent = NULL;
    struct err err = ERR_INIT;
    static const int signals[] = {SIGTERM, SIGHUP, SIGQUIT, SIGINT};
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        loop_signal(l, signals[i], term_cb, e);
    pidfile_watch_quietly(s->pidfile, l, pidfile_gone_cb, e);
    if (!s->document.survives_manager) {
        parent = watch_parent(s, l, e, &err);
        if (parent == NULL)
            endpoint_stop(e, err.text);
    }
    int rc = loop_run(l);
    parent_forget(parent);
    endpoint_destroy(e);
    if (s->settings.teardown != NULL)
        (void)startup_run_script(s->settings.teardown, "endpoint_teardown");
    log_info("---------- Endpoint shutdown: %s", s->queues.endpoint_id);
    return rc;
}

/* Signals wait for the loop from the first thread on. */
static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int serve(struct startup *s, int argc, char **argv, const struct options *o)
{
    if (startup_prepare(s) != 0)
        return startup_report(s);
    bool debug = o->debug || s->settings.debug;
    if (debug)
        log_level_set(LOG_L_DEBUG);
    autofree char *title = title_of(s, argc, argv);
    proctitle_set("%s", title);
    log_info("========== Endpoint begins: %s", s->queues.endpoint_id);
    block_signals();
    struct loop *l = loop_create();
    int rc = run(s, l, title, debug);
    pidfile_release(s->pidfile);
    s->pidfile = NULL;
    loop_destroy(l);
    return rc;
}

int main(int argc, char **argv)
{
    struct options o;
    struct startup s = {.document = {.mem_fd = -1, .audit_fd = -1}};
    struct err err = ERR_INIT;
    tune_memory();
    proctitle_init(argc, argv);
    if (read_options(&o, argc, argv) != 0) {
        fputs(usage, stderr);
        return 2;
    }
    if (o.help) {
        fputs(usage, stdout);
        return 0;
    }
    if (isatty(STDIN_FILENO)) {
        fprintf(stderr, "User endpoints must have a parent Core endpoint\n");
        return 1;
    }
    prctl(PR_SET_DUMPABLE, 0); /* credentials stay out of core files and of other eyes */
    umask(077);
    if (o.preview) {
        log_init("UserEndpoint", LOG_L_ERROR);
        int rc = read_document(&s.document) == 0 ? preview_print(o.name, &s.document) : 1;
        document_clear(&s.document);
        return rc;
    }
    autofree char *dir = home_find(o.name, &err);
    if (dir == NULL) {
        fprintf(stderr, "Error: %s\n", err.text);
        return 1;
    }
    if (read_document(&s.document) != 0)
        return 1;
    keep_to_ourselves(&s.document);
    autofree char *log_path = home_export(dir);
    open_log(&o, log_path);
    s.dir = dir;
    s.name = o.name;
    int rc = serve(&s, argc, argv, &o);
    startup_clear(&s);
    return rc;
}
