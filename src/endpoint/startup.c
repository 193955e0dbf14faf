#include "endpoint/startup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/amqp/amqp.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/wire/wire.h"

#define REPORT_US 10000000u

int startup_fail(struct startup *s, const char *error_class, int exit_code)
{
    s->error_class = error_class;
    s->exit_code = exit_code;
    return -1;
}

int startup_run_script(const char *script, const char *what)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    log_error("%s failed with %s %d", what, WIFSIGNALED(status) ? "signal" : "exit code",
              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return -1;
}

static void log_lines(const char *line)
{
    while (line != NULL && *line != '\0') {
        size_t n = strcspn(line, "\n");
        log_warning("%.*s", (int)n, line);
        line += n + (line[n] == '\n');
    }
}

static int read_configuration(struct startup *s)
{
    if (settings_read(s->document.config, strrchr(s->dir, '/') + 1, &s->settings, &s->err) != 0 ||
        engine_read(s->settings.engine, &s->engine, &s->err) != 0)
        return startup_fail(s, "ClickException", 1);
    log_lines(s->settings.warnings.data);
    log_lines(s->engine.warnings.data);
    if (s->document.has_allowed && settings_allow(&s->settings, s->document.allowed, &s->err) != 0)
        return startup_fail(s, "ClickException", 1);
    return 0;
}

static int take_pidfile(struct startup *s)
{
    autofree char *path = xasprintf("%s/daemon.pid", s->dir);
    s->pidfile = pidfile_take(path, (unsigned)(3 * s->settings.heartbeat_period), 0600, &s->err);
    return s->pidfile != NULL ? 0 : startup_fail(s, "MessageSystemExit", EX_CANTCREAT);
}

static int check_policies(struct startup *s)
{
    if (s->settings.high_assurance && !s->engine.encrypted) {
        err_set(&s->err, "Engine configuration is not High Assurance compliant.  Endpoint will not "
                         "start.");
        return startup_fail(s, "ValueError", 1);
    }
    if (s->settings.setup != NULL && startup_run_script(s->settings.setup, "endpoint_setup") != 0) {
        err_set(&s->err, "%d", EX_CONFIG);
        return startup_fail(s, "SystemExit", EX_CONFIG);
    }
    return 0;
}

static int read_credentials(struct startup *s)
{
    struct err why = ERR_INIT;
    char asked[UUID_TEXT];
    if (s->credentials == NULL)
        s->credentials = credentials_create(&s->document, &why);
    if (s->credentials != NULL)
        credentials_port(s->credentials, (int)s->settings.amqp_port);
    if (s->credentials == NULL || credentials_load(s->credentials, &s->queues, &why) != 0) {
        log_error("invalid credentials: %s", why.text);
        err_set(&s->err, "%d", EX_DATAERR);
        return startup_fail(s, "SystemExit", EX_DATAERR);
    }
    if (uuid_parse(s->name, asked) && strcmp(asked, s->queues.endpoint_id) != 0) {
        log_error("asked to run endpoint %s, but the credentials are those of %s", asked,
                  s->queues.endpoint_id);
        err_set(&s->err, "%d", EX_SOFTWARE);
        return startup_fail(s, "SystemExit", EX_SOFTWARE);
    }
    return 0;
}

static int write_identity(struct startup *s)
{
    autofree char *path = xasprintf("%s/endpoint.json", s->dir);
    autofree char *text = xasprintf("{\"endpoint_id\": \"%s\"}", s->queues.endpoint_id);
    if (fs_write(path, text, strlen(text), 0600, false, &s->err) != 0)
        return startup_fail(s, "OSError", 1);
    return 0;
}

int startup_prepare(struct startup *s)
{
    return read_configuration(s) != 0 || take_pidfile(s) != 0 || check_policies(s) != 0 ||
                   read_credentials(s) != 0 || write_identity(s) != 0
               ? -1
               : 0;
}

/* Whatever credentials there are: the report is the only way in which the user learns of it. */
static void publish(struct startup *s, const char *text)
{
    autobuf struct buf body = BUF_INIT;
    struct err err = ERR_INIT;
    if (s->credentials == NULL)
        s->credentials = credentials_create(&s->document, &err);
    if (s->credentials == NULL)
        return;
    if (s->queues.info[QUEUE_HEARTBEATS].connection_url == NULL) {
        queues_clear(&s->queues);
        if (credentials_load_heartbeats(s->credentials, &s->queues, &err) != 0)
            return;
    }
    const struct wire_queue_info *q = &s->queues.info[QUEUE_HEARTBEATS];
    wire_pack_start_failure(&body, s->queues.endpoint_id, text);
    if (amqp_publish_once(q->connection_url, q->publish.exchange, q->publish.routing_key, body.data,
                          body.len, REPORT_US, &err) != 0)
        log_error("the failure could not be reported: %s", err.text);
}

int startup_report(struct startup *s)
{
    autofree char *said = log_mask(s->err.text); /* never credentials */
    autofree char *text =
        xasprintf("Failed to start or unexpected error:\n  (%s) %s", s->error_class, said);
    log_critical("%s", text);
    publish(s, text);
    return s->exit_code;
}

void startup_clear(struct startup *s)
{
    pidfile_release(s->pidfile);
    credentials_destroy(s->credentials);
    queues_clear(&s->queues);
    engine_clear(&s->engine);
    settings_clear(&s->settings);
    document_clear(&s->document);
}
