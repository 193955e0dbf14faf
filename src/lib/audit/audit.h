/* The audit log: who ran what, one line an event, in the original's format.
 *
 *   <time> uid=<uid> pid=<pid> eid=<id> Begin CEP session =====
 *   <time> uid=<uid> pid=<pid> uep=<id> <message>
 *   <time> uid=<uid> pid=<pid> eid=<id> End CEP session -----
 *
 * With a hash chain each line ends with " chain=<64 hex>", the SHA-256 of the hash before and of
 * the line without it; the first one of a file names the hash before as " prev=<64 hex>".  A line
 * that was changed, removed or put in shows in audit_verify(); lines cut off at the end show when
 * the last hash was noted elsewhere (the monitor writes it to its log at the end of a session).
 *
 * A line is written whole or not at all: what a full disk took of it is cut off again. */
#ifndef SALLYPORT_AUDIT_AUDIT_H
#define SALLYPORT_AUDIT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"

#define AUDIT_HASH_TEXT 65     /* bytes with the NUL */
#define AUDIT_MESSAGE_MAX 4096 /* one page: what a pipe in packet mode holds together */
#define AUDIT_ROOM (1u << 20)  /* bytes that audit_has_room() wants to be free */

struct audit;

/* Appends to path (made with mode 0600 & ~umask).  NULL with a sentence. */
struct audit *audit_open(const char *path, bool chain, struct err *err);
void audit_close(struct audit *a); /* NULL is fine */
/* After the file was moved away; the chain goes on in the new one. */
int audit_reopen(struct audit *a, struct err *err);

enum audit_style { AUDIT_CEP, AUDIT_MEP }; /* what the session of a manager is called */

/* Begin or end of the manager's session. */
int audit_session(struct audit *a, enum audit_style style, bool begin, const char *endpoint_id,
                  struct err *err);
/* One packet of a user endpoint; newlines become blanks, CR and NUL go. */
int audit_message(struct audit *a, uid_t uid, pid_t pid, const char *uep_id, const void *p,
                  size_t n, struct err *err);
/* Is there room on the file system for some more lines? */
bool audit_has_room(const struct audit *a);
/* The hash of the last line; "" without a chain. */
const char *audit_last_hash(const struct audit *a);

struct audit_report {
    uint64_t lines;              /* all of the file */
    uint64_t chained;            /* covered by the chain */
    char first[AUDIT_HASH_TEXT]; /* the hash that the file's chain goes on from */
    char last[AUDIT_HASH_TEXT];
};
/* Follows the chain of a file.  `after`: it must go on from this hash (the last one of the file
 * before); NULL = from any.  -1 with the number of the first wrong line. */
int audit_verify(const char *path, const char *after, struct audit_report *report, struct err *err);

#endif
