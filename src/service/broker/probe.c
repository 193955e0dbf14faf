/* On a thread of its own: the broker's question about the probe's login is answered by the loop. */
#include "service/broker/probe.h"

#include <amqp_framing.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/amqp/internal.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "service/broker/topology.h"
#include "service/broker/backend_conf.h"

#define TIMEOUT_S 10
#define PAUSE_US 500000
#define CHANNEL 1

struct probe {
    struct loop *loop;
    char *url, *password, *queue_type;
    probe_f *done;
    void *arg;
    pthread_t thread;
    atomic_bool stop;
    atomic_bool posted;
    bool finished;
    struct err err;
};

static void hang_up(amqp_connection_state_t state)
{
    amqp_connection_close(state, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(state);
}

static int login_sentence(const struct amqp_url *u, struct err *err)
{
    char why[200];
    snprintf(why, sizeof(why), "%.199s", err->text);
    if (err->code == AMQP_NOT_ALLOWED)
        return err_set(err,
                       "the broker at %s:%d does not let %s into the virtual host %s: make it "
                       "(rabbitmqctl add_vhost) and give permissions (set_permissions); it says: "
                       "%s",
                       u->host, u->port, u->user, u->vhost, why);
    return err_set(err,
                   "the broker at %s:%d refuses the login of %s: make that user there, or correct "
                   "broker.url; it says: %s",
                   u->host, u->port, u->user, why);
}

static int topology_sentence(const struct amqp_url *u, struct err *err)
{
    char why[200];
    snprintf(why, sizeof(why), "%.199s", err->text);
    if (err->code == AMQP_PRECONDITION_FAILED)
        return err_set(err,
                       "the broker's virtual host %s has queues of another kind: set "
                       "broker.queue_type to theirs, or delete them; it says: %s",
                       u->vhost, why);
    return err_set(err,
                   "the broker does not let %s do all in the virtual host %s: rabbitmqctl "
                   "set_permissions -p %s %s '.*' '.*' '.*'; it says: %s",
                   u->user, u->vhost, u->vhost, u->user, why);
}

/* Exchanges, queues, bindings, and the default exchange, by which streams are reached. */
static int try_topology(const struct probe *p, amqp_connection_state_t state, struct err *err)
{
    struct topology t;
    struct broker_queue_state queue;
    if (topology_init(&t, p->queue_type, false, 0, err) < 0)
        return -1;
    amqp_channel_open(state, CHANNEL);
    if (topology_reply(state, "a channel", err) < 0 || topology_declare(&t, state, err) < 0)
        return -1;
    /* A publish has no answer; a refusal comes in place of the next one. */
    amqp_basic_publish(state, CHANNEL, amqp_empty_bytes,
                       amqp_cstring_bytes("usr.nobody.sallyport-probe"), 0, 0, NULL,
                       amqp_empty_bytes);
    return topology_look(state, "results", &queue, err);
}

/* 1 = nobody answers: again. */
static int try_all(const struct probe *p, struct err *err)
{
    struct amqp_url u;
    bool refused;
    int rc = -1;
    if (amqp_url_parse(p->url, &u, err) < 0)
        return -1;
    amqp_connection_state_t state = conn_login(&u, "sallyport probe", TIMEOUT_S, &refused, err);
    if (!state) {
        rc = refused ? login_sentence(&u, err) : 1;
        goto out;
    }
    rc = try_topology(p, state, err);
    if (rc < 0 && err->code)
        topology_sentence(&u, err);
    hang_up(state);
    if (rc < 0)
        goto out;
    free(u.user);
    wipe_free(u.password);
    u.user = xstrdup(PROBE_USER);
    u.password = xstrdup(p->password);
    state = conn_login(&u, "sallyport probe", TIMEOUT_S, &refused, err);
    if (state)
        hang_up(state);
    else
        rc = refused ? err_set(err,
                               "the broker at %s:%d does not ask this service about the "
                               "logins of endpoints: enable its plugin "
                               "rabbitmq_auth_backend_http and add the lines of `sallyport "
                               "broker-conf` to its rabbitmq.conf",
                               u.host, u.port)
                     : 1;
out:
    amqp_url_clear(&u);
    return rc;
}

static void tell(void *arg)
{
    struct probe *p = arg;
    p->posted = false;
    if (p->stop) { /* probe_stop() has been and left the rest to us */
        free(p->url);
        free(p);
        return;
    }
    p->finished = true;
    p->done(p->arg, p->err.text[0] ? &p->err : NULL);
}

static void *probe_main(void *arg)
{
    static struct log_rate rate = LOG_RATE(2, 60);
    struct probe *p = arg;
    int rc = 1;
    while (!p->stop && rc == 1) {
        p->err = (struct err)ERR_INIT;
        rc = try_all(p, &p->err);
        if (rc == 1 && log_rate_ok(&rate))
            log_warning("event=broker state=down reason=%s", p->err.text);
        if (rc == 1)
            usleep(PAUSE_US);
    }
    if (rc == 0)
        p->err = (struct err)ERR_INIT;
    p->posted = true;
    loop_post(p->loop, tell, p);
    return NULL;
}

struct probe *probe_start(struct loop *l, const struct probe_opts *o, probe_f *done, void *arg)
{
    struct probe *p = xcalloc(1, sizeof(*p));
    p->loop = l;
    p->url = xstrdup(o->url);
    p->password = xstrdup(o->password);
    p->queue_type = o->queue_type ? xstrdup(o->queue_type) : NULL;
    p->done = done;
    p->arg = arg;
    if (pthread_create(&p->thread, NULL, probe_main, p) != 0)
        abort();
    return p;
}

void probe_stop(struct probe *p)
{
    if (!p)
        return;
    p->stop = true;
    pthread_join(p->thread, NULL);
    wipe_free(p->password);
    free(p->queue_type);
    explicit_bzero(p->url, strlen(p->url));
    if (p->posted)
        return; /* tell() frees the rest */
    free(p->url);
    free(p);
}

char *probe_conf(const char *base)
{
    struct buf lines = BUF_INIT;
    buf_str(&lines, "auth_backends.1 = internal\nauth_backends.2 = cache\n");
    backend_conf(&lines, base);
    return buf_take(&lines);
}
