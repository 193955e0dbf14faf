/* Failure notices: one message to the heartbeat route of a user endpoint that did not start, with
 * the credentials that came in its start command (spec: endpoint-manager.md 12).
 *
 * A few threads, started when there is something to tell and gone when there is not; each keeps its
 * last connection for a while, so that many notices to one URL share it.  A broker that can't be
 * reached is tried again with growing pauses until the notice is out of date; a refusal is final.
 */
#ifndef SALLYPORT_LISTENER_NOTICE_H
#define SALLYPORT_LISTENER_NOTICE_H

#include <stdbool.h>

#include "lib/base/loop.h"
#include "manager/listener/command.h"

#define NOTICE_TEXT_MAX 8192

struct notices;

struct notices *notices_create(struct loop *l);
/* Waits for what is being sent, at most timeout_us; no callback comes any more. */
void notices_destroy(struct notices *n, uint64_t timeout_us);

/* sent: the broker has it; else why not.  On the loop's thread. */
typedef void notice_f(void *arg, bool sent, const char *why);
/* route->url must not be NULL; all is copied. */
void notice_send(struct notices *n, const struct command_route *route, const char *text,
                 notice_f *cb, void *arg);
/* May this identity be told something now?  (A bucket: 100 at once, then two a second.) */
bool notice_may(struct notices *n, const char *identity);

#endif
