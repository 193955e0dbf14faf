/* Tasks that take long: on disk, so that their deliveries can be acknowledged (the broker gives up
 * on a consumer that holds one for half an hour) and a new life can go on with them.
 *
 * accepted_tasks/<task uuid> = one line of JSON {"function", "spec", "serializers"}, then the
 * message's body. */
#ifndef SALLYPORT_ENDPOINT_JOURNAL_H
#define SALLYPORT_ENDPOINT_JOURNAL_H

#include "endpoint/task.h"
#include "lib/base/err.h"

struct journal;

/* t: new, without its body (journal_load() gets it); the receiver's. */
typedef void journal_found_f(void *arg, struct task *t);

/* Nothing is made on disk before the first task is written. */
struct journal *journal_open(const char *dir);
void journal_close(struct journal *j);
/* What earlier lives left. */
void journal_replay(struct journal *j, journal_found_f *found, void *arg);
/* 0 when it is on disk for good; t->journaled is set and its memory let go. */
int journal_add(struct journal *j, struct task *t, struct err *err);
/* Only to save memory: the delivery stays as it is, and the file need not survive a crash. */
int journal_spill(struct journal *j, struct task *t, struct err *err);
/* Brings the body back; journal_unload() lets it go again. */
int journal_load(struct journal *j, struct task *t, struct err *err);
void journal_unload(struct task *t);
void journal_drop(struct journal *j, const char *id);

#endif
