/* The helper of a listener that has locked itself up: what must still be done outside.
 *
 * Forked first thing, before anything foreign was read; it keeps the listener's unprivileged
 * account and does three things on request: evaluates the administrator's identity mapping when
 * that runs programs (side by side, each with its deadline), asks whether an account exists, and
 * resolves host names (over a socket of its own: see resolve.c).  A listener that was taken over
 * can make it do no more than that: mapping rules are taken only from a descriptor whose owner is
 * that of the first one.
 *
 *   listener ⇄ outside    one SOCK_SEQPACKET packet each way; documents travel as memory files
 *     RULES    code = 0, descriptor of the mapping file      → RULED, code 0 or 1 with text
 *     MAP      memory file {"endpoint_id", "identities"}     → MAPPED, memory file {"username",
 *                                  "matched_identity", "candidates", "warnings"}, or code 1, text
 *     ACCOUNT  text = local user name                        → KNOWN, code 1 = exists, 0 = does not
 *
 * It leaves when the listener has gone, and takes the programs it runs with it. */
#ifndef SALLYPORT_LISTENER_OUTSIDE_H
#define SALLYPORT_LISTENER_OUTSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/json.h"
#include "lib/base/loop.h"

#define OUTSIDE_RUNS_MAX 128 /* evaluations at a time */
#define OUTSIDE_DOCUMENT_MAX (4u << 20)

enum outside_kind {
    OUTSIDE_RULES = 1,
    OUTSIDE_MAP,
    OUTSIDE_ACCOUNT,
    OUTSIDE_RULED,
    OUTSIDE_MAPPED,
    OUTSIDE_KNOWN,
};

struct outside_packet {
    uint64_t id;
    uint32_t kind;
    int32_t code;
    char text[1024];
};

/* ---- the listener's side ---- */

struct outside;

/* Forks; keep_closed: a descriptor that the helper must not have.  Ends the process on failure. */
struct outside *outside_fork(int keep_closed);
/* From now on answers come through the loop; gone_cb when the helper has ended. */
void outside_attach(struct outside *o, struct loop *l, loop_f *gone_cb, void *arg);
void outside_destroy(struct outside *o);
int outside_resolver(const struct outside *o); /* socket for resolve.c */

/* answer: NULL with why when there is none (also when the helper is busy or gone). */
typedef void outside_f(void *arg, const struct outside_packet *answer, struct json_object *document,
                       const char *why);
void outside_rules(struct outside *o, int fd, outside_f *cb, void *arg);
void outside_map(struct outside *o, const char *endpoint_id, struct json_object *identities,
                 outside_f *cb, void *arg);
void outside_account(struct outside *o, const char *name, outside_f *cb, void *arg);

/* ---- shared by both sides ---- */

/* 0, or -1 with errno. */
int outside_send(int socket, const struct outside_packet *p, int fd);
/* 1, 0 = end, -1 with errno (EAGAIN; EBADMSG = malformed).  *fd -1 = none. */
int outside_receive(int socket, struct outside_packet *p, int *fd);
/* A memory file of ours, read whole from its start whatever its offset; closed.  NULL with err. */
struct json_object *outside_document(int fd, struct err *err);
int outside_document_make(struct json_object *o, struct err *err);

/* ---- the helper's side: never returns ---- */
void outside_serve(int channel, int resolver) __attribute__((noreturn));

/* One look-up, and its answer (resolve.c). */
#define RESOLVE_MAX 8
struct resolve_question {
    char host[256];
    char service[32];
};
struct resolve_answer {
    int32_t rc; /* of getaddrinfo */
    uint32_t count;
    struct {
        uint32_t len;
        unsigned char bytes[64]; /* a sockaddr of IPv4 or IPv6 */
    } address[RESOLVE_MAX];
};
/* From now on getaddrinfo() of this process asks the helper. */
void resolve_through(int socket);

#endif
