/* Runs a program on the loop: its standard input from bytes, its output captured up to a limit, a
 * deadline after which its whole process group is killed. */
#ifndef SALLYPORT_BASE_SPAWN_H
#define SALLYPORT_BASE_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/base/loop.h"

struct spawn;

struct spawn_result {
    int exit_code;   /* 0..255, or -1 when it ended by a signal, timed out or could not start */
    int signal;      /* the signal that ended it, or 0 */
    bool timed_out;  /* the deadline passed; the group was killed */
    const char *out; /* NUL-terminated, valid during the callback; cut at output_max */
    size_t out_len;
    const char *errout;
    size_t errout_len;
    uint64_t took_us;
};

typedef void spawn_f(void *arg, const struct spawn_result *result);

struct spawn_opts {
    const char *const *argv; /* NULL-terminated; argv[0] looked up on PATH of `env` (or ours) */
    const char *const *env;  /* NULL = ours */
    const char *cwd;         /* NULL = ours */
    const void *input;       /* standard input; copied; NULL = /dev/null */
    size_t input_len;
    size_t output_max;   /* per stream; 0 = 1 MiB */
    uint64_t timeout_us; /* 0 = 30 s */
};

/* cb is called once, never from within spawn_start().  NULL with err when it could not be started.
 */
struct spawn *spawn_start(struct loop *l, const struct spawn_opts *opts, spawn_f *cb, void *arg,
                          struct err *err);
/* Kills the group and forgets it without a callback; NULL is fine. */
void spawn_cancel(struct spawn *s);

#endif
