/* The loop's side of a connection: queues commands, drains events. */
#include "lib/amqp/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

/* --- events: from the connection's thread to the loop ---------------------------------------- */

static void conn_unref(struct amqp_conn *c)
{
    if (atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    close(c->wake_fd);
    pthread_mutex_destroy(&c->lock);
    free((char *)c->opts.queue);
    free((char *)c->opts.check_exchange);
    free((char *)c->opts.check_queue);
    free((char *)c->opts.name);
    amqp_url_clear(&c->url);
    free(c->out.ring);
    free(c->in.done);
    free(c);
}

static void confirmed(struct amqp_conn *c, const struct event *ev)
{
    pthread_mutex_lock(&c->lock);
    c->waiting--;
    pthread_mutex_unlock(&c->lock);
    if (c->handlers.on_confirm)
        c->handlers.on_confirm(c->arg, ev->confirm.cookie, ev->confirm.outcome);
}

static void came_up_or_down(struct amqp_conn *c, const struct event *ev)
{
    c->up = ev->kind == EV_UP;
    if (c->up && c->handlers.on_up)
        c->handlers.on_up(c->arg);
    if (!c->up && c->handlers.on_down)
        c->handlers.on_down(c->arg, ev->down.why, ev->down.text, ev->down.final);
}

static void dispatch(struct amqp_conn *c, struct event *ev)
{
    switch (ev->kind) {
    case EV_UP:
    case EV_DOWN:
        if (!c->dead)
            came_up_or_down(c, ev);
        if (ev->kind == EV_DOWN)
            free(ev->down.text);
        break;
    case EV_MESSAGE:
        if (!c->dead && c->handlers.on_message)
            c->handlers.on_message(c->arg, ev->message);
        else
            amqp_message_free(ev->message);
        break;
    case EV_CONFIRM:
        confirmed(c, ev);
        break;
    case EV_CALLED:
        if (ev->called.done)
            ev->called.done(ev->called.arg, ev->called.rc, ev->called.err);
        free(ev->called.err);
        break;
    }
    free(ev);
}

static void drain(struct amqp_conn *c)
{
    struct event_list mine = STAILQ_HEAD_INITIALIZER(mine);
    pthread_mutex_lock(&c->lock);
    STAILQ_CONCAT(&mine, &c->events);
    pthread_mutex_unlock(&c->lock);
    for (struct event *ev; (ev = STAILQ_FIRST(&mine));) {
        STAILQ_REMOVE_HEAD(&mine, link);
        dispatch(c, ev);
    }
}

static void drain_cb(void *arg)
{
    struct amqp_conn *c = arg;
    pthread_mutex_lock(&c->lock);
    c->drain_posted = false;
    pthread_mutex_unlock(&c->lock);
    atomic_fetch_add(&c->refs, 1); /* a callback may destroy the connection */
    drain(c);
    conn_unref(c);
    conn_unref(c); /* the posted drain's */
}

struct event *event_new(enum event_kind kind)
{
    struct event *ev = xcalloc(1, sizeof(*ev));
    ev->kind = kind;
    return ev;
}

void event_add(struct amqp_conn *c, struct event *ev)
{
    STAILQ_INSERT_TAIL(&c->fresh, ev, link);
}

void events_flush(struct amqp_conn *c)
{
    if (STAILQ_EMPTY(&c->fresh))
        return;
    pthread_mutex_lock(&c->lock);
    STAILQ_CONCAT(&c->events, &c->fresh);
    bool post = !c->drain_posted;
    c->drain_posted = true;
    pthread_mutex_unlock(&c->lock);
    if (!post)
        return;
    atomic_fetch_add(&c->refs, 1);
    loop_post(c->loop, drain_cb, c);
}

/* --- commands: from the loop to the connection's thread --------------------------------------- */

static void poke(struct amqp_conn *c)
{
    uint64_t one = 1;
    if (write(c->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        abort();
}

static void poke_cb(void *arg)
{
    struct amqp_conn *c = arg;
    c->poke_is_due = false;
    poke(c);
}

/* The thread is woken when the loop has done what lies before it: many commands then leave in one
 * packet, which saves the broker more than it saves us. */
static void command_push(struct amqp_conn *c, struct command *cmd)
{
    pthread_mutex_lock(&c->lock);
    STAILQ_INSERT_TAIL(&c->commands, cmd, link);
    pthread_mutex_unlock(&c->lock);
    if (c->poke_is_due)
        return;
    c->poke_is_due = true;
    loop_defer(c->loop, poke_cb, c);
}

static struct command *command_new(enum command_kind kind)
{
    struct command *cmd = xcalloc(1, sizeof(*cmd));
    cmd->kind = kind;
    return cmd;
}

void command_free(struct command *cmd)
{
    if (cmd->kind == CMD_PUBLISH) {
        free(cmd->publish.exchange);
        free(cmd->publish.routing_key);
        free(cmd->publish.body);
        empty_amqp_pool(&cmd->publish.pool);
    }
    free(cmd);
}

static amqp_bytes_t pool_copy(amqp_pool_t *pool, amqp_bytes_t b)
{
    amqp_bytes_t copy = {.len = b.len, .bytes = NULL};
    if (b.len) {
        copy.bytes = amqp_pool_alloc(pool, b.len);
        if (!copy.bytes)
            abort();
        memcpy(copy.bytes, b.bytes, b.len);
    }
    return copy;
}

static void copy_props(struct command *cmd, const amqp_basic_properties_t *from)
{
    init_amqp_pool(&cmd->publish.pool, 512);
    if (!from)
        return;
    amqp_pool_t *pool = &cmd->publish.pool;
    amqp_basic_properties_t *to = &cmd->publish.props;
    *to = *from;
    amqp_bytes_t *texts[] = {&to->content_type, &to->content_encoding, &to->correlation_id,
                             &to->reply_to,     &to->expiration,       &to->message_id,
                             &to->type,         &to->user_id,          &to->app_id,
                             &to->cluster_id};
    static const amqp_flags_t flags[] = {
        AMQP_BASIC_CONTENT_TYPE_FLAG,   AMQP_BASIC_CONTENT_ENCODING_FLAG,
        AMQP_BASIC_CORRELATION_ID_FLAG, AMQP_BASIC_REPLY_TO_FLAG,
        AMQP_BASIC_EXPIRATION_FLAG,     AMQP_BASIC_MESSAGE_ID_FLAG,
        AMQP_BASIC_TYPE_FLAG,           AMQP_BASIC_USER_ID_FLAG,
        AMQP_BASIC_APP_ID_FLAG,         AMQP_BASIC_CLUSTER_ID_FLAG};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (to->_flags & flags[i])
            *texts[i] = pool_copy(pool, *texts[i]);
    if (to->_flags & AMQP_BASIC_HEADERS_FLAG &&
        amqp_table_clone(&from->headers, &to->headers, pool) != AMQP_STATUS_OK)
        abort();
}

size_t amqp_publish_take(struct amqp_conn *c, const struct amqp_publish *p, char *body)
{
    struct command *cmd = command_new(CMD_PUBLISH);
    copy_props(cmd, p->props);
    cmd->publish.exchange = xstrdup(p->exchange);
    cmd->publish.routing_key = xstrdup(p->routing_key);
    cmd->publish.body = body;
    cmd->publish.body_len = p->body_len;
    cmd->publish.cookie = p->cookie;
    cmd->publish.mandatory = p->mandatory;
    pthread_mutex_lock(&c->lock);
    size_t waiting = ++c->waiting;
    pthread_mutex_unlock(&c->lock);
    command_push(c, cmd);
    return waiting;
}

size_t amqp_publish(struct amqp_conn *c, const struct amqp_publish *p)
{
    return amqp_publish_take(c, p, xmemdup(p->body, p->body_len));
}

void amqp_ack(struct amqp_conn *c, uint64_t tag)
{
    struct command *cmd = command_new(CMD_ACK);
    cmd->ack.tag = tag;
    command_push(c, cmd);
}

void amqp_reject(struct amqp_conn *c, uint64_t tag, bool requeue)
{
    struct command *cmd = command_new(CMD_REJECT);
    cmd->ack.tag = tag;
    cmd->ack.requeue = requeue;
    command_push(c, cmd);
}

void amqp_cancel_consumer(struct amqp_conn *c)
{
    command_push(c, command_new(CMD_CANCEL_CONSUMER));
}

void amqp_call(struct amqp_conn *c,
               int (*fn)(void *arg, amqp_connection_state_t state, struct err *err),
               void (*done)(void *arg, int rc, const struct err *err), void *arg)
{
    struct command *cmd = command_new(CMD_CALL);
    cmd->call.fn = fn;
    cmd->call.done = done;
    cmd->call.arg = arg;
    command_push(c, cmd);
}

void amqp_conn_wake(struct amqp_conn *c)
{
    command_push(c, command_new(CMD_WAKE));
}

bool amqp_conn_is_up(const struct amqp_conn *c)
{
    return c->up;
}

/* --- life ------------------------------------------------------------------------------------- */

struct amqp_conn *amqp_conn_create(struct loop *l, const struct amqp_opts *opts,
                                   const struct amqp_handlers *handlers, void *arg)
{
    struct amqp_conn *c = xcalloc(1, sizeof(*c));
    c->loop = l;
    c->handlers = *handlers;
    c->arg = arg;
    c->opts = *opts;
    c->opts.queue = xstrdup(opts->queue);
    c->opts.check_exchange = xstrdup(opts->check_exchange);
    c->opts.check_queue = xstrdup(opts->check_queue);
    c->opts.name = xstrdup(opts->name);
    atomic_init(&c->refs, 1);
    STAILQ_INIT(&c->commands);
    STAILQ_INIT(&c->events);
    STAILQ_INIT(&c->fresh);
    pthread_mutex_init(&c->lock, NULL);
    atomic_init(&c->socket_fd, -1);
    c->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (c->wake_fd < 0)
        abort();
    /* Signals belong to the loop's thread. */
    sigset_t all, was;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    if (pthread_create(&c->thread, &attr, conn_thread, c) != 0)
        abort();
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    return c;
}

static bool join_within(struct amqp_conn *c, uint64_t us)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(us / 1000000);
    until.tv_nsec += (long)(us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return pthread_timedjoin_np(c->thread, NULL, &until) == 0;
}

void amqp_conn_destroy(struct amqp_conn *c, uint64_t timeout_us)
{
    if (!c)
        return;
    c->dead = true;
    loop_defer_cancel(c->loop, poke_cb, c);
    atomic_store(&c->stop_by_us, clock_mono_us() + timeout_us);
    atomic_store(&c->stopping, true);
    poke(c);
    bool joined = join_within(c, timeout_us + 3000000);
    if (!joined) {
        /* Blocked on a dead peer: take the socket away from under it. */
        int fd = atomic_load(&c->socket_fd);
        if (fd >= 0)
            shutdown(fd, SHUT_RDWR);
        joined = join_within(c, 2000000);
    }
    if (!joined) {
        log_warning("a broker connection does not end; it is left behind");
        pthread_detach(c->thread);
        return; /* its memory with it */
    }
    drain(c);
    for (struct command *cmd; (cmd = STAILQ_FIRST(&c->commands));) {
        STAILQ_REMOVE_HEAD(&c->commands, link);
        command_free(cmd);
    }
    conn_unref(c);
}
