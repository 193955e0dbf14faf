/* A few threads for what takes its time: password hashes, PAM, other providers' servers.
 *
 * job(arg) runs on a thread, done(arg) on the loop's afterwards.  The queue is bounded: when it is
 * full the caller tells its client to come again. */
#ifndef SALLYPORT_AUTH_WORK_H
#define SALLYPORT_AUTH_WORK_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/loop.h"

struct work;

struct work *work_create(struct loop *l, unsigned threads, size_t queue_max);
/* Waits for the jobs that run, runs none of those that wait; call it after the loop has ended. */
void work_destroy(struct work *w); /* NULL is fine */
/* False when the queue is full: nothing was taken. */
bool work_do(struct work *w, void (*job)(void *), void (*done)(void *), void *arg);

#endif
