/* When a user endpoint may leave by itself (spec: user-endpoint.md section 9), as arithmetic.
 *
 *   soft: it did something, nothing is outstanding, and `soft` heartbeats passed in quiet
 *   hard: `hard` heartbeats passed in quiet, whatever is outstanding, or without any task at all
 *
 * The original counts messages and starts anew at each reconnect; here every task id counts once,
 * for the life of the process. */
#ifndef SALLYPORT_ENDPOINT_IDLE_H
#define SALLYPORT_ENDPOINT_IDLE_H

#include <stdbool.h>
#include <stdint.h>

enum idle_state {
    IDLE_ACTIVE,     /* tasks or results moved, or it never leaves */
    IDLE_QUIET,      /* nothing moved, but nothing to say yet */
    IDLE_SOFT,       /* leaves in `left` heartbeats */
    IDLE_HARD,       /* possibly idle; leaves in `left` heartbeats */
    IDLE_LEAVE_SOFT, /* now */
    IDLE_LEAVE_HARD, /* now */
};

struct idle {
    int64_t soft_max, hard_max; /* soft_max 0 = always on */
    uint64_t received, confirmed;
    int64_t soft, hard;
    enum idle_state state;
    int64_t left;
};

void idle_init(struct idle *i, int64_t soft, int64_t hard);
/* One heartbeat.  received: messages taken from the queue; confirmed: results that the broker has;
 * outstanding: ids accepted whose result is not confirmed. */
enum idle_state idle_tick(struct idle *i, uint64_t received, uint64_t confirmed,
                          uint64_t outstanding);

#endif
