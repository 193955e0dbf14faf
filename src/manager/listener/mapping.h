/* The identity mapping in force, and its replacement without a gap.
 *
 * Expressions are evaluated here; when the file also runs programs, all of it is evaluated by the
 * helper (outside.h), in parallel.  A file that can't be used changes nothing: the old rules stay,
 * and the log says so. */
#ifndef SALLYPORT_LISTENER_MAPPING_H
#define SALLYPORT_LISTENER_MAPPING_H

#include "lib/base/err.h"
#include "lib/idmap/idmap.h"
#include "manager/listener/hello.h"
#include "manager/listener/outside.h"

struct mapping;

/* path: for texts. */
struct mapping *mapping_create(struct outside *outside, const char *path, const char *endpoint_id);
void mapping_destroy(struct mapping *m); /* NULL is fine */
void mapping_attach(struct mapping *m, struct loop *l);
/* The first rules: 0, or -1 with err (code = errno of a file that is absent). */
int mapping_open(struct mapping *m, const struct hello_file *f, struct err *err);
/* They have changed. */
void mapping_reload(struct mapping *m, const struct hello_file *f);
/* outcome NULL: no answer, and why.  Never called from within mapping_ask(). */
typedef void mapping_f(void *arg, const struct idmap_outcome *outcome, const char *why);
void mapping_ask(struct mapping *m, struct json_object *identities, mapping_f *cb, void *arg);

#endif
