/* The node is the Erlang machine itself, without RabbitMQ's start script: one process less, and
 * the signal that follows our death reaches it.  The port mapper epmd, without which Erlang does
 * not start, is a child of ours as well, on a port of its own. */
#include "service/broker/node_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/spawn.h"

#define PAUSE_MIN_US LOOP_S(1)
#define PAUSE_MAX_US LOOP_S(60)
#define NO_ACCESS 126 /* exit status of a child that may not enter its folder */
#define PROBE_US LOOP_MS(100)
#define PROBE_FOR_US LOOP_S(120)
#define STABLE_US LOOP_S(120)
/* Unique on this host: names live in the port mapper, which is ours alone. */
#define NODE_NAME "sallyport@localhost"

const char *node_account(const char *wanted)
{
    static const char *const usual[] = {"sallyport", "rabbitmq", "nobody"};
    if (geteuid() != 0)
        return NULL;
    for (size_t i = 0; !wanted && i < 3; i++)
        if (getpwnam(usual[i]))
            wanted = usual[i];
    return wanted ? wanted : "nobody";
}

/* Where RabbitMQ is installed: the link on PATH leads into its tree. */
static int find_home(struct node *n, struct err *err)
{
    static const char *const places[] = {"/usr/lib/rabbitmq/bin/rabbitmq-server",
                                         "/opt/rabbitmq/sbin/rabbitmq-server",
                                         "/usr/local/sbin/rabbitmq-server"};
    const char *given = getenv("RABBITMQ_HOME");
    if (given && *given) {
        n->home = xstrdup(given);
        return 0;
    }
    for (size_t i = 0; i < 3; i++) {
        autofree char *real = realpath(places[i], NULL);
        char *sbin = real ? strstr(real, "/sbin/") : NULL;
        if (!sbin)
            continue;
        n->home = xstrndup(real, (size_t)(sbin - real));
        return 0;
    }
    return err_set(err, "RabbitMQ is not installed: install the package rabbitmq-server, or name a "
                        "running one with --broker");
}

static int find_account(struct node *n, const char *wanted, struct err *err)
{
    const char *name = node_account(wanted);
    if (!name)
        return 0;
    const struct passwd *pw = getpwnam(name);
    if (!pw)
        return err_set(err, "%s: there is no such account to run the broker as", name);
    if (pw->pw_uid == 0)
        return 0; /* asked for by name */
    n->uid = pw->pw_uid;
    n->gid = pw->pw_gid;
    n->drops = true;
    return 0;
}

/* ---- the processes ---- */

/* In the child, between fork and exec. */
static void become(const struct node *n, pid_t parent)
{
    sigset_t none;
    setpgid(0, 0);
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    close_range(3, ~0u, 0);
    if (n->drops && (setgroups(1, &n->gid) < 0 || setresgid(n->gid, n->gid, n->gid) < 0 ||
                     setresuid(n->uid, n->uid, n->uid) < 0))
        _exit(NO_ACCESS);
    /* After the change of user, which resets it. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(0);
    umask(077);
    if (chdir(n->folder) < 0)
        _exit(NO_ACCESS);
}

static pid_t run(const struct node *n, const char *const *argv, char *const *env)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid)
        return pid;
    become(n, parent);
    execvpe(argv[0], (char *const *)(uintptr_t)argv, env);
    _exit(127);
}

static char **environment(const struct node *n)
{
    char **env = xcalloc(24, sizeof(*env));
    size_t i = 0;
    env[i++] = xstrdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    env[i++] = xstrdup("LANG=C.UTF-8");
    env[i++] = xasprintf("HOME=%s/home", n->folder);
    env[i++] = xasprintf("ERL_EPMD_PORT=%d", n->ports[PORT_EPMD]);
    env[i++] = xstrdup("ERL_EPMD_ADDRESS=127.0.0.1");
    env[i++] = xasprintf("ERL_LIBS=%s/plugins", n->home);
    env[i++] = xasprintf("RABBITMQ_HOME=%s", n->home);
    env[i++] = xasprintf("RABBITMQ_PLUGINS_DIR=%s/plugins", n->home);
    env[i++] = xasprintf("RABBITMQ_NODENAME=%s", n->name);
    env[i++] = xasprintf("RABBITMQ_NODE_PORT=%d", n->ports[PORT_AMQP]);
    env[i++] = xasprintf("RABBITMQ_DIST_PORT=%d", n->ports[PORT_DIST]);
    env[i++] = xasprintf("RABBITMQ_CONFIG_FILE=%s/rabbitmq.conf", n->folder);
    env[i++] = xasprintf("RABBITMQ_ADVANCED_CONFIG_FILE=%s/advanced.config", n->folder);
    env[i++] = xasprintf("RABBITMQ_ENABLED_PLUGINS_FILE=%s/enabled_plugins", n->folder);
    env[i++] = xasprintf("RABBITMQ_MNESIA_BASE=%s/data", n->folder);
    env[i++] = xasprintf("RABBITMQ_LOG_BASE=%s/log", n->folder);
    env[i++] = xstrdup("RABBITMQ_CONF_ENV_FILE=/dev/null");
    env[i++] = xstrdup("SYS_PREFIX=");
    return env;
}

static void strings_free(char **list)
{
    for (size_t i = 0; list[i]; i++)
        free(list[i]);
    free(list);
}

static void start_server(void *arg);

static void all_gone(struct node *n)
{
    loop_f *done = n->stopped;
    if (n->server || n->epmd || !done)
        return;
    n->stopped = NULL;
    loop_timer_cancel(n->stop_timer);
    done(n->stopped_arg);
}

static void epmd_ended(void *arg, pid_t pid, const siginfo_t *si)
{
    struct node *n = arg;
    (void)pid;
    (void)si;
    n->epmd = 0;
    n->epmd_watch = NULL;
    all_gone(n);
}

static void server_ended(void *arg, pid_t pid, const siginfo_t *si)
{
    struct node *n = arg;
    n->server = 0;
    n->server_watch = NULL;
    if (n->stopping) {
        if (n->epmd)
            kill(n->epmd, SIGTERM);
        all_gone(n);
        return;
    }
    if (si->si_code == CLD_EXITED && si->si_status == NO_ACCESS)
        log_error("the broker's account can't reach %s: the folders above have to let it pass "
                  "(mode o+x)",
                  n->folder);
    if (loop_now_us(n->loop) - n->started_us > STABLE_US)
        n->tries = 0;
    uint64_t pause = backoff_us(n->tries++, PAUSE_MIN_US, PAUSE_MAX_US);
    log_error("the broker (pid %d) has ended with %s %d; see %s/log; it is started again in %.1f s",
              pid, si->si_code == CLD_EXITED ? "exit status" : "signal", si->si_status, n->folder,
              (double)pause / 1e6);
    loop_timer_set(n->again, pause, 0);
}

/* Is the port open yet?  A connect to this host is answered at once. */
static void probe_cb(void *arg)
{
    struct node *n = arg;
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)n->ports[PORT_AMQP]),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool open = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
    if (fd >= 0)
        close(fd);
    if (open)
        n->listening(n->listening_arg);
    else if (loop_now_us(n->loop) - n->started_us < PROBE_FOR_US)
        loop_timer_set(n->probe, PROBE_US, 0);
}

static void start_epmd(struct node *n, char *const *env)
{
    char port[16];
    snprintf(port, sizeof(port), "%d", n->ports[PORT_EPMD]);
    const char *argv[] = {"epmd", "-port", port, "-address", "127.0.0.1", NULL};
    n->epmd = run(n, argv, env);
    if (n->epmd > 0)
        n->epmd_watch = loop_child_watch(n->loop, n->epmd, epmd_ended, n);
    else
        n->epmd = 0;
}

static void start_server(void *arg)
{
    struct node *n = arg;
    char **env = environment(n);
    /* The allocator settings are RabbitMQ's own; +sbwt none: idle schedulers don't spin. */
    const char *argv[] = {"erl",         "-pa",       "",
                          "-noinput",    "-s",        "rabbit",
                          "boot",        "-boot",     "start_sasl",
                          "+W",          "w",         "+MBas",
                          "ageffcbf",    "+MHas",     "ageffcbf",
                          "+MBlmbcs",    "512",       "+MHlmbcs",
                          "512",         "+MMmcs",    "30",
                          "+P",          "1048576",   "+t",
                          "5000000",     "+stbt",     "db",
                          "+zdbbl",      "128000",    "+sbwt",
                          "none",        "+sbwtdcpu", "none",
                          "+sbwtdio",    "none",      "+B",
                          "i",           "-kernel",   "inet_dist_use_interface",
                          "{127,0,0,1}", "-syslog",   "logger",
                          "[]",          "-syslog",   "syslog_error_logger",
                          "false",       "-kernel",   "prevent_overlapping_partitions",
                          "false",       NULL};
    if (!n->epmd)
        start_epmd(n, env);
    n->started_us = loop_now_us(n->loop);
    n->server = run(n, argv, env);
    if (n->server > 0) {
        n->server_watch = loop_child_watch(n->loop, n->server, server_ended, n);
        if (n->listening)
            loop_timer_set(n->probe, PROBE_US, 0);
    } else {
        n->server = 0;
        loop_timer_set(n->again, PAUSE_MAX_US, 0);
    }
    strings_free(env);
}

struct node *node_start(struct loop *l, const struct node_opts *opts, struct err *err)
{
    struct node *n = xcalloc(1, sizeof(*n));
    n->loop = l;
    n->again = loop_timer_create(l, start_server, n);
    n->probe = loop_timer_create(l, probe_cb, n);
    n->listening = opts->listening;
    n->listening_arg = opts->arg;
    n->cert_file = opts->cert_file ? xstrdup(opts->cert_file) : NULL;
    n->key_file = opts->key_file ? xstrdup(opts->key_file) : NULL;
    n->folder = realpath(opts->folder, NULL);
    if (!n->folder && fs_mkdirs(opts->folder, 0711, err) == 0)
        n->folder = realpath(opts->folder, NULL);
    if (!n->folder) {
        err_errno(err, "%s", opts->folder);
        node_destroy(n);
        return NULL;
    }
    if (find_home(n, err) < 0 || find_account(n, opts->user, err) < 0 ||
        node_choose_ports(n, opts->port, err) < 0 || node_write_conf(n, opts, err) < 0) {
        node_destroy(n);
        return NULL;
    }
    n->name = xstrdup(NODE_NAME);
    start_server(n);
    return n;
}

struct node *node_of(struct loop *l, const char *folder, struct err *err)
{
    struct node *n = xcalloc(1, sizeof(*n));
    n->loop = l;
    n->folder = realpath(folder, NULL);
    n->name = xstrdup(NODE_NAME);
    if (!n->folder)
        err_errno(err, "%s", folder);
    if (!n->folder || find_home(n, err) < 0 || node_read_ports(n, err) < 0) {
        node_destroy(n);
        return NULL;
    }
    return n;
}

void node_reload_tls(struct node *n)
{
    struct err err = ERR_INIT;
    if (n->cert_file && node_copy_tls(n, &err) < 0)
        log_error("event=certificate of the broker: the old one stays in use: %s", err.text);
}

int node_port(const struct node *n)
{
    return n->ports[PORT_AMQP];
}

static void ctl_done(void *arg, const struct spawn_result *r)
{
    (void)arg;
    if (r->exit_code != 0)
        log_warning("rabbitmqctl: exit status %d: %.200s", r->exit_code, r->errout);
}

void node_ctl(struct node *n, const char *const *words)
{
    const char *argv[16];
    autofree char *ctl = xasprintf("%s/sbin/rabbitmqctl", n->home);
    struct err err = ERR_INIT;
    size_t i = 0;
    argv[i++] = ctl;
    argv[i++] = "-n";
    argv[i++] = n->name;
    for (; *words && i < 15; words++)
        argv[i++] = *words;
    argv[i] = NULL;
    char **env = environment(n);
    struct spawn_opts opts = {
        .argv = argv, .env = (const char *const *)env, .timeout_us = LOOP_S(30)};
    if (!spawn_start(n->loop, &opts, ctl_done, NULL, &err))
        log_warning("%s", err.text);
    strings_free(env);
}

static void stop_late(void *arg)
{
    struct node *n = arg;
    log_warning("the broker did not end in time and is killed");
    if (n->server)
        kill(-n->server, SIGKILL);
    if (n->epmd)
        kill(n->epmd, SIGKILL);
}

void node_stop(struct node *n, uint64_t timeout_us, loop_f *done, void *arg)
{
    n->stopping = true;
    n->stopped = done;
    n->stopped_arg = arg;
    loop_timer_cancel(n->again);
    loop_timer_cancel(n->probe);
    n->stop_timer = loop_timer_create(n->loop, stop_late, n);
    loop_timer_set(n->stop_timer, timeout_us, 0);
    if (n->server)
        kill(n->server, SIGTERM);
    else if (n->epmd)
        kill(n->epmd, SIGTERM);
    else
        all_gone(n);
}

void node_destroy(struct node *n)
{
    if (!n)
        return;
    loop_child_forget(n->server_watch);
    loop_child_forget(n->epmd_watch);
    if (n->server)
        kill(-n->server, SIGKILL);
    if (n->epmd)
        kill(n->epmd, SIGKILL);
    loop_timer_destroy(n->again);
    loop_timer_destroy(n->probe);
    loop_timer_destroy(n->stop_timer);
    free(n->folder);
    free(n->cert_file);
    free(n->key_file);
    free(n->home);
    free(n->name);
    free(n);
}
