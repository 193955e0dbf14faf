/* Which program asks?  A confidential client proves itself by its secret (Basic as it is, without
 * URL decoding, or client_secret in the form); a native one only tells its id. */
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "service/auth/password.h"
#include "service/auth/private.h"

struct call {
    struct auth *a;
    struct req *r;
    bool needs_secret;
    char *id, *secret; /* secret NULL: none was sent */
    struct client client;
    int found; /* 1, 0 */
    int match; /* password_check() */
    client_f *then;
    void (*give_up)(void *);
    void *arg;
};

static void end(struct call *c, bool accepted)
{
    if (accepted && !req_is_over(c->r))
        c->then(c->arg, &c->client);
    else
        c->give_up(c->arg);
    req_unref(c->r);
    client_free(&c->client);
    free(c->id);
    wipe_free(c->secret);
    free(c);
}

static void refuse(struct call *c, const char *why)
{
    static struct log_rate rate = LOG_RATE(20, 60);
    limit_take(c->a->tries_client, req_peer(c->r), loop_now_us(c->a->loop));
    if (log_rate_ok(&rate))
        log_warning("event=client-refused client=%.64s peer=%s reason=%s", c->id, req_peer(c->r),
                    why);
    oauth_refuse(c->r, 401, "invalid_client",
                 "The client is unknown, disabled, or its secret is wrong.");
    end(c, false);
}

static void check_job(void *arg)
{
    struct call *c = arg;
    c->match = password_check(c->client.secret, c->secret);
}

static void checked(void *arg)
{
    struct call *c = arg;
    if (c->match == 1)
        end(c, true);
    else
        refuse(c, c->match == 0 ? "secret" : "damaged-hash");
}

static int find_job(struct db *db, void *arg, struct err *err)
{
    struct call *c = arg;
    client_free(&c->client);
    c->found = client_by_id(db, c->id, &c->client, err);
    return c->found < 0 ? -1 : 0;
}

static void found(void *arg, int rc, const struct err *err)
{
    struct call *c = arg;
    if (rc != 0) {
        oauth_ledger_failed(c->r, err);
        end(c, false);
    } else if (c->found == 0 || c->client.disabled) {
        refuse(c, c->found == 0 ? "unknown" : "disabled");
    } else if (c->client.secret == NULL) {
        /* A native client has no secret; one that is sent nevertheless is somebody's mistake. */
        if (c->needs_secret || c->secret != NULL)
            refuse(c, "no-secret");
        else
            end(c, true);
    } else if (c->secret == NULL) {
        refuse(c, "secret-missing");
    } else if (password_is_cheap(c->client.secret)) {
        check_job(c);
        checked(c);
    } else if (!work_do(c->a->work, check_job, checked, c)) {
        reply_header(c->r, "Retry-After", "2");
        oauth_refuse(c->r, 429, "slow_down", "Too many sign-ins at once; try again in a moment.");
        end(c, false);
    }
}

void auth_client(struct auth *a, struct req *r, bool needs_secret, client_f *then, void *arg,
                 void (*give_up)(void *))
{
    struct call *c = xcalloc(1, sizeof *c);
    *c = (struct call){.a = a,
                       .r = req_ref(r),
                       .needs_secret = needs_secret,
                       .then = then,
                       .arg = arg,
                       .give_up = give_up};
    const char *id = NULL, *secret = NULL;
    if (!req_basic(r, &id, &secret)) {
        id = req_form(r, "client_id");
        secret = req_form(r, "client_secret");
    }
    char canonical[UUID_TEXT];
    c->id = xstrdup(id != NULL && uuid_parse(id, canonical) ? canonical : "");
    c->secret = xstrdup(secret);
    unsigned wait = limit_look(a->tries_client, req_peer(r), loop_now_us(a->loop));
    if (wait > 0) {
        char seconds[16];
        snprintf(seconds, sizeof seconds, "%u", wait);
        reply_header(r, "Retry-After", seconds);
        oauth_refuse(r, 429, "slow_down", "Too many wrong client secrets from this address.");
        end(c, false);
    } else if (c->id[0] == '\0') {
        refuse(c, "id");
    } else {
        store_read(a->store, find_job, found, c);
    }
}
