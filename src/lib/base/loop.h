/* The one event loop of a process (sd-event behind it).  Nothing in a callback blocks.
 * Times are microseconds of the monotonic clock, always taken through loop_now_us(), so that unit
 * tests can move the clock (loop_fake_clock). */
#ifndef SALLYPORT_BASE_LOOP_H
#define SALLYPORT_BASE_LOOP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;
struct loop_io;
struct loop_timer;
struct loop_child;

#define LOOP_MS(n) ((uint64_t)(n)*1000)
#define LOOP_S(n) ((uint64_t)(n)*1000000)

typedef void loop_f(void *arg);
typedef void loop_io_f(void *arg, int fd, uint32_t revents);          /* EPOLLIN ... */
typedef void loop_child_f(void *arg, pid_t pid, const siginfo_t *si); /* already reaped */

/* Ends the process on failure.  SIGPIPE is ignored from then on: a peer that has gone is an EPIPE
 * at the place that writes.  A child that is forked without spawn.h resets it before its exec. */
struct loop *loop_create(void);
void loop_destroy(struct loop *l);
/* Runs until loop_stop(); returns its code. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l, int code);
/* One pass: waits at most timeout_us (UINT64_MAX = for ever), dispatches, returns. For tests. */
void loop_once(struct loop *l, uint64_t timeout_us);

uint64_t loop_now_us(struct loop *l);

/* fd stays the caller's; destroy the loop_io before closing it. */
struct loop_io *loop_io_create(struct loop *l, int fd, uint32_t events, loop_io_f *cb, void *arg);
void loop_io_events(struct loop_io *io, uint32_t events);
void loop_io_destroy(struct loop_io *io); /* NULL is fine; so from within its own callback */

/* Created idle.  A timer fires once per timer_set. */
struct loop_timer *loop_timer_create(struct loop *l, loop_f *cb, void *arg);
/* `slack_us`: how late it may fire so that wake-ups coalesce; 0 = 1 ms. */
void loop_timer_set(struct loop_timer *t, uint64_t delay_us, uint64_t slack_us);
void loop_timer_cancel(struct loop_timer *t);
bool loop_timer_is_set(const struct loop_timer *t);
void loop_timer_destroy(struct loop_timer *t);

/* The signal is blocked in this thread and delivered here.  Call before threads are started. */
void loop_signal(struct loop *l, int signo, loop_f *cb, void *arg);

/* Watches a child by pidfd and reaps it; cb once. */
struct loop_child *loop_child_watch(struct loop *l, pid_t pid, loop_child_f *cb, void *arg);
void loop_child_forget(struct loop_child *c); /* stops watching (does not reap); NULL is fine */

/* From any thread: cb(arg) will run on the loop's thread, in order. */
void loop_post(struct loop *l, loop_f *cb, void *arg);
/* From the loop's thread: cb(arg) runs after the present callback has returned. */
void loop_defer(struct loop *l, loop_f *cb, void *arg);
/* Forgets what was deferred with this cb and arg and has not run: for those who go away. */
void loop_defer_cancel(struct loop *l, loop_f *cb, void *arg);

/* Tests: from now on loop_now_us() is what loop_fake_advance() made it, and timers obey it;
 * loop_fake_advance() fires what is due, in order. */
void loop_fake_clock(struct loop *l, uint64_t now_us);
void loop_fake_advance(struct loop *l, uint64_t by_us);

#endif
