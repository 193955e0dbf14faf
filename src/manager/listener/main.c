/* libexec/sallyport/listener: the unprivileged half of the endpoint manager.
 *
 * Started by the monitor, and again when it has ended (table.h says how).  In order:
 *   the helper is forked (outside.h)        before anything foreign is read
 *   HELLO and the administrator's files come
 *   config.yaml is parsed, the endpoint registered over HTTPS; REGISTERED
 *   the identity mapping is read
 *   the process locks itself up (lockup.h)  before it speaks to a broker
 *   commands and heartbeats, until STOP     broker.h, desk.h
 * What it can't cope with is a FATAL to the monitor, with the exit code that the manager shall
 * have. An end without FATAL is an accident: the monitor starts another one. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/amqp/amqp.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/paths.h"
#include "lib/base/proctitle.h"
#include "lib/wire/wire.h"
#include "manager/listener/broker.h"
#include "manager/listener/channel.h"
#include "manager/listener/desk.h"
#include "manager/listener/hello.h"
#include "manager/listener/lockup.h"
#include "manager/listener/mapping.h"
#include "manager/listener/notice.h"
#include "manager/listener/outside.h"
#include "manager/listener/refusal.h"
#include "manager/listener/site.h"

#define REPORT_US LOOP_S(5)

struct listener {
    struct loop *loop;
    struct outside *outside;
    struct hello hello;
    struct site site;
    struct mapping *mapping;
    struct channel *channel;
    struct broker *broker;
    struct notices *notices;
    struct desk *desk;
    bool stopping;
};

/* ---- the ends ---- */

static void fill(char *to, size_t size, const char *text)
{
    snprintf(to, size, "%s", text ? text : "");
}

/* Tells the monitor, which logs it, that all is over, and why. */
static void fatal(const struct site_end *end)
{
    struct table_message m = {.type = TABLE_FATAL, .code = end->code};
    autofree char *masked = log_mask(end->for_admin);
    fill(m.text.user, sizeof(m.text.user), end->for_user);
    fill(m.text.admin, sizeof(m.text.admin), masked);
    if (table_send(TABLE_SOCKET, &m, -1, -1) < 0)
        log_error("the monitor can't be told: %s", strerror(errno));
}

/* The service hears why a registered manager doesn't come up (spec: endpoint-manager.md 2.4). */
static void report(const struct site *s, const struct site_end *end)
{
    struct err err = ERR_INIT;
    autobuf struct buf body = BUF_INIT;
    autobuf struct buf text = BUF_INIT;
    if (!s->heartbeats.connection_url)
        return;
    buf_str(&text, "Failed to start or unexpected error:\n  ");
    refusal_clean(end->for_admin, &text);
    wire_pack_start_failure(&body, s->endpoint_id, text.data);
    if (amqp_publish_once(s->heartbeats.connection_url, s->heartbeats.publish.exchange,
                          s->heartbeats.publish.routing_key, body.data, body.len, REPORT_US,
                          &err) < 0)
        log_warning("The service can't be told: %s", err.text);
}

static void begin_stop(struct listener *l)
{
    if (l->stopping)
        return;
    l->stopping = true;
    desk_stop(l->desk);
    loop_stop(l->loop, 0);
}

static void monitor_gone_cb(void *arg)
{
    struct listener *l = arg;
    log_warning("The monitor has gone");
    l->stopping = true;
    loop_stop(l->loop, 1);
}

static void helper_gone_cb(void *arg)
{
    struct listener *l = arg;
    log_error("The listener's helper has ended; the listener starts anew");
    if (!l->stopping)
        loop_stop(l->loop, 1);
}

static void broker_end_cb(void *arg, const char *why)
{
    struct listener *l = arg;
    struct site_end end = {.code = 0, .for_admin = (char *)why};
    if (l->stopping)
        return;
    l->stopping = true;
    desk_stop(l->desk);
    fatal(&end);
    loop_stop(l->loop, 0);
}

/* The next listener registers anew, which brings new credentials. */
static void broker_stale_cb(void *arg)
{
    struct listener *l = arg;
    if (l->stopping)
        return;
    log_warning("The broker does not accept the credentials of the registration any more; the "
                "listener registers anew");
    l->stopping = true;
    desk_stop(l->desk);
    loop_stop(l->loop, 1);
}

/* ---- the monitor's messages ---- */

static void file_changed(struct listener *l, const struct table_message *m, int fd)
{
    struct err err = ERR_INIT;
    struct hello_file *f = &l->hello.files[TABLE_MAPPING];
    if (m->file != TABLE_MAPPING || !l->mapping) {
        if (fd >= 0)
            close(fd);
        return;
    }
    if (hello_take_file(f, m, fd, &err) < 0) {
        log_error("Unable to update identity configuration -- (OSError) %s", err.text);
        return;
    }
    mapping_reload(l->mapping, f);
}

static void monitor_cb(void *arg, const struct table_message *m, int fds[2])
{
    struct listener *l = arg;
    if (fds[1] >= 0)
        close(fds[1]);
    if (m->type == TABLE_FILE) {
        file_changed(l, m, fds[0]);
        return;
    }
    if (fds[0] >= 0)
        close(fds[0]);
    if (m->type == TABLE_STOP)
        begin_stop(l);
    else if (m->type != TABLE_HELLO)
        desk_answer(l->desk, m);
}

static void send_cb(void *arg, const struct table_message *m, int fd1, int fd2)
{
    channel_send(((struct listener *)arg)->channel, m, fd1, fd2);
}

/* ---- commands ---- */

static void ack_cb(void *arg, uint64_t tag)
{
    broker_ack(((struct listener *)arg)->broker, tag);
}

static void command_cb(void *arg, struct amqp_message *m)
{
    desk_command(((struct listener *)arg)->desk, m);
}

/* ---- start-up ---- */

static void harden(void)
{
    const struct rlimit none = {0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    /* A terminal sends these to the whole group; the monitor says STOP. */
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

/* Type and text, as the original prints an exception. */
static int mapping_failed(const struct listener *l, const struct err *err, struct site_end *end)
{
    bool denied = err->code == EACCES || err->code == EPERM;
    return site_fail(end, denied ? EX_NOPERM : EX_CONFIG,
                     "%s%s -- Unable to read identity mapping configuration from: %s",
                     err->text[0] == '(' ? "" : "(InvalidMappingError) ", err->text,
                     l->site.mapping_path);
}

static int open_mapping(struct listener *l, struct site_end *end)
{
    struct err err = ERR_INIT;
    if (!l->site.maps)
        return 0;
    l->mapping = mapping_create(l->outside, l->site.mapping_path, l->site.endpoint_id);
    if (mapping_open(l->mapping, &l->hello.files[TABLE_MAPPING], &err) == 0)
        return 0;
    return mapping_failed(l, &err, end);
}

static void hide_folders(const struct listener *l)
{
    refusal_hide(l->hello.m.hello.endpoint_dir);
    refusal_hide(paths_prefix());
    autofree char *folder = xstrdup(l->site.template_path);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    if (!slash)
        return;
    *slash = '\0';
    refusal_hide(folder);
}

static bool has_tls(const struct wire_queue_info *q)
{
    struct amqp_url url = {0};
    bool tls = q->connection_url && amqp_url_parse(q->connection_url, &url, NULL) == 0 && url.tls;
    amqp_url_clear(&url);
    return tls;
}

/* 0, or -1 when the manager must end with `end`. */
static int come_up(struct listener *l, struct site_end *end)
{
    struct err err = ERR_INIT;
    if (site_open(&l->site, &l->hello, end) < 0)
        return -1;
    hide_folders(l);
    if (l->site.config->debug)
        log_level_set(LOG_L_DEBUG);
    struct table_message m = {.type = TABLE_REGISTERED};
    fill(m.endpoint_id, sizeof(m.endpoint_id), l->site.endpoint_id);
    if (open_mapping(l, end) < 0) {
        report(&l->site, end);
        return -1;
    }
    if (table_send(TABLE_SOCKET, &m, -1, -1) < 0)
        return site_fail(end, EX_SOFTWARE, "the monitor can't be told of the registration: %s",
                         strerror(errno));
    if (has_tls(&l->site.commands) || has_tls(&l->site.heartbeats))
        amqp_trust_preload();
    resolve_through(outside_resolver(l->outside));
    if (lockup(&err) < 0)
        return site_fail(end, EX_OSERR, "The listener can't be locked up: %s", err.text);
    return 0;
}

/* The tokens have done their work, and the other files are read. */
static void drop_files(struct listener *l)
{
    int mapping = l->hello.files[TABLE_MAPPING].fd;
    l->hello.files[TABLE_MAPPING].fd = -1;
    hello_clear(&l->hello);
    l->hello.files[TABLE_MAPPING].fd = mapping;
}

static int serve(struct listener *l)
{
    l->loop = loop_create();
    loop_signal(l->loop, SIGTERM, (loop_f *)begin_stop, l);
    outside_attach(l->outside, l->loop, helper_gone_cb, l);
    if (l->mapping)
        mapping_attach(l->mapping, l->loop);
    l->channel = channel_create(l->loop, TABLE_SOCKET, monitor_cb, monitor_gone_cb, l);
    l->notices = notices_create(l->loop);
    l->desk = desk_create(&(struct desk_wires){.loop = l->loop,
                                               .site = &l->site,
                                               .mapping = l->mapping,
                                               .outside = l->outside,
                                               .notices = l->notices,
                                               .send = send_cb,
                                               .ack = ack_cb,
                                               .arg = l});
    static const struct broker_handlers handlers = {
        .on_command = command_cb, .on_end = broker_end_cb, .on_stale = broker_stale_cb};
    l->broker = broker_open(l->loop, &l->site, &handlers, l);
    int rc = loop_run(l->loop);
    l->stopping = true;
    desk_stop(l->desk);
    notices_destroy(l->notices, LOOP_S(3));
    broker_close(l->broker);
    channel_destroy(l->channel);
    desk_destroy(l->desk);
    return rc;
}

int main(int argc, char **argv)
{
    static struct listener l;
    struct err err = ERR_INIT;
    struct site_end end = {0};
    proctitle_init(argc, argv);
    log_init("Listener", LOG_L_INFO);
    log_console(true, false);
    log_journal(true);
    harden();
    l.outside = outside_fork(TABLE_SOCKET);
    if (hello_receive(TABLE_SOCKET, &l.hello, &err) < 0) {
        log_error("The listener can't start: %s", err.text);
        return err.code == ECANCELED ? 0 : 1;
    }
    if (l.hello.m.hello.debug)
        log_level_set(LOG_L_DEBUG);
    int rc = come_up(&l, &end);
    drop_files(&l);
    if (rc == 0) {
        rc = serve(&l);
    } else {
        fatal(&end);
        rc = end.code;
    }
    mapping_destroy(l.mapping);
    site_end_clear(&end);
    site_clear(&l.site);
    hello_clear(&l.hello);
    outside_destroy(l.outside);
    loop_destroy(l.loop);
    return rc;
}
