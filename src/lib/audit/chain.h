/* The hash chain of an audit log; used by lib/audit only. */
#ifndef SALLYPORT_AUDIT_CHAIN_H
#define SALLYPORT_AUDIT_CHAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/audit/audit.h"

#define CHAIN_PREV " prev="
#define CHAIN_MARK " chain="

/* SHA-256 of the hash before (as text) and the line, which includes its prev= if it has one. */
void chain_hash(const char *before, const char *line, size_t n, char out[AUDIT_HASH_TEXT]);
/* Takes the hash of the last whole line; false when that line has none. */
bool chain_of_last_line(const char *text, size_t n, char out[AUDIT_HASH_TEXT]);

#endif
