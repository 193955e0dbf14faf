/* The engine option launch_cmd: a site's own command line for what a node runs.
 *
 * It is a Python format string that starts the original's worker pool, with wrappers around it:
 *     numactl -N 0 process_worker_pool.py {debug} -a {addresses} -p {prefetch_capacity} ...
 * Ours keeps everything around the pool, replaces the placeholders, and puts our node agent where
 * the pool's program and its options stood: up to the end of that simple command.  `{command}`,
 * unknown to the original, is the node agent as well. */
#ifndef SALLYPORT_ENDPOINT_LAUNCH_CMD_H
#define SALLYPORT_ENDPOINT_LAUNCH_CMD_H

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

/* The value of a placeholder is appended; false: there is no such placeholder. */
typedef bool launch_cmd_f(void *arg, const char *name, struct buf *out);

/* agent: our command, in shell syntax; {block_id} in both stays as it is.  lost (may be NULL): the
 * pool's options that are written as plain values and have no effect, blanks between.  -1 with a
 * sentence that names the option. */
int launch_cmd_write(struct buf *out, const char *text, const char *agent, launch_cmd_f *value,
                     void *arg, struct buf *lost, struct err *err);

#endif
