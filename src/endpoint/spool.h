/* Results on disk until the broker has them (spec: user-endpoint.md 8.3).
 *
 * unacked_results/.spool holds the results of the moment, one record behind the other; it is
 * emptied whenever nothing in it is wanted any more.  A result that waits longer gets a file of its
 * own, unacked_results/<task uuid>, the format of the original: either program can send it.
 *
 * The spool survives the end of the process by itself, and a crash of the host only when synced:
 * a task whose delivery is not acknowledged needs no sync, the broker would deliver it again. */
#ifndef SALLYPORT_ENDPOINT_SPOOL_H
#define SALLYPORT_ENDPOINT_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/uuid.h"

struct spool;

/* A place of a result: in the spool (len > 0), or a file of its own (len 0). */
struct spool_place {
    off_t at;
    size_t len;
};

typedef void spool_found_f(void *arg, const char *id, struct spool_place place);

/* dir is made when missing.  found is called for what earlier lives left: records of the spool are
 * turned into files of their own first. */
struct spool *spool_open(const char *dir, spool_found_f *found, void *arg, struct err *err);
void spool_close(struct spool *s);
/* -1 when the disk refuses; the caller keeps the bytes. */
int spool_add(struct spool *s, const char *id, const void *body, size_t n, bool sync,
              struct spool_place *place, struct err *err);
/* A file of its own for it, from the start or from the spool. */
int spool_add_file(struct spool *s, const char *id, const void *body, size_t n, bool sync,
                   struct err *err);
/* Appends the result to out. */
int spool_get(struct spool *s, const char *id, struct spool_place place, struct buf *out,
              struct err *err);
/* Not wanted any more. */
void spool_drop(struct spool *s, const char *id, struct spool_place place);
/* Empties the spool if nothing in it is wanted: to be called soon after the last drop, not after
 * each (what a killed process leaves is sent again). */
void spool_tidy(struct spool *s);

#endif
