/* Walking over JSON text without building a tree: where each member's value begins and ends.
 * Checks the grammar (RFC 8259), UTF-8 and a depth limit on the way. */
#ifndef SALLYPORT_WIRE_WALK_H
#define SALLYPORT_WIRE_WALK_H

#include <stdbool.h>

#include "lib/wire/wire.h"

struct walk {
    const char *p;
    const char *end;
    unsigned depth;
    const char *wrong; /* after a failure: what was wrong, e.g. "unterminated string" */
};

/* Steps over white space, then one value; its span without the white space.  0 or -1. */
int walk_value(struct walk *w, struct wire_span *out);
/* Enters an object whose "{" is next. */
int walk_object(struct walk *w);
/* The next member of the entered object: 1, 0 behind the last (its "}" is consumed), -1. */
int walk_member(struct walk *w, bool first, struct wire_span *key, struct wire_span *value);
/* Nothing but white space is left. */
bool walk_at_end(struct walk *w);
/* The string literal equals the plain text (escapes are decoded). */
bool walk_key_is(struct wire_span key, const char *text);

#endif
