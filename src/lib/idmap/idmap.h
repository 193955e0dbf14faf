/* Identity mapping: which local user name stands for a set of Globus identities.
 *
 * The mapping file is a JSON list of documents ("mappers"), expression or external, tried in order.
 * Rule of selection, as globus-compute-endpoint 4.19 applies it: the first mapper with any match,
 * its first match in mapping order, then identity order.  A failure anywhere in a mapper (missing
 * property, program that fails) empties that mapper and is a warning; the next ones still count.
 *
 * Safer than the original in four places, on purpose: `a|b` is anchored as a whole, `$` does not
 * match before a last newline, placeholders are replaced in one pass (a value that looks like a
 * placeholder stays text), and an expression that ends in a lone backslash is refused.
 *
 * Loaded rules are reference counted: an evaluation under way keeps the rules it began with. */
#ifndef SALLYPORT_IDMAP_IDMAP_H
#define SALLYPORT_IDMAP_IDMAP_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"

#define IDMAP_FILE_MAX (16u << 20) /* bytes of a mapping file that are accepted */

struct idmap;
struct idmap_run;

/* NULL with a sentence when the text can't be used as a whole.  Things that load but deserve a
 * look (unknown DATA_TYPE, top-level `|`) are listed by idmap_warnings(). */
struct idmap *idmap_load(const char *text, size_t len, struct err *err);
struct idmap *idmap_ref(struct idmap *m);
void idmap_free(struct idmap *m); /* gives up one reference; NULL is fine */

struct json_object *idmap_warnings(const struct idmap *m); /* list of strings, m's own */
size_t idmap_count(const struct idmap *m);                 /* mappers that are in use */
bool idmap_has_external(const struct idmap *m);            /* runs programs when evaluated */

struct idmap_outcome {
    const char *username;            /* NULL: nobody is mapped */
    const char *matched_identity;    /* id of the identity that decided, or NULL */
    struct json_object *candidates;  /* a list per mapper of {identity id: [names]} */
    struct json_object *warnings;    /* list of strings, one for each mapper that failed */
    struct json_object *explanation; /* idmap_explain() only, else NULL: see explain() in eval.c */
};

/* outcome and what it points to are valid during the call; take references to keep trees. */
typedef void idmap_f(void *arg, const struct idmap_outcome *outcome);

/* Evaluates for the list of identity objects of a start command.  External programs run side by
 * side, each with 5 s, with an environment of PATH, HOME and LANG.  done is called once, never from
 * within this call, unless the run is cancelled. */
struct idmap_run *idmap_eval(struct idmap *m, struct loop *loop, const char *endpoint_id,
                             struct json_object *identity_set, idmap_f *done, void *arg);
/* The same, and says for every rule and identity what matched and why the others did not. */
struct idmap_run *idmap_explain(struct idmap *m, struct loop *loop, const char *endpoint_id,
                                struct json_object *identity_set, idmap_f *done, void *arg);
/* Kills its programs and forgets it: done is not called.  Only before done was; NULL is fine. */
void idmap_cancel(struct idmap_run *run);

#endif
