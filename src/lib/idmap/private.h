/* What the files of this folder share: the loaded document and the two kinds of mappers. */
#ifndef SALLYPORT_IDMAP_PRIVATE_H
#define SALLYPORT_IDMAP_PRIVATE_H

#include "lib/base/spawn.h"
#include "lib/idmap/idmap.h"
#include "lib/idmap/pattern.h"

struct mapping {
    const char *source, *match, *output; /* the document's own text */
    size_t source_len, match_len, output_len;
    bool source_is_text, output_is_text; /* another type fails when it is used, not at load */
    struct pattern *pattern;
};

struct mapper {
    enum { MAPPER_EXPRESSION, MAPPER_EXTERNAL } kind;
    struct mapping *mappings; /* expression */
    size_t mappings_count;
    char **command; /* external; NULL-terminated */
};

struct idmap {
    unsigned refs;
    struct json_object *document; /* keeps the text that mappings point to */
    struct json_object *warnings;
    struct mapper *mappers;
    size_t count;
};

/* What a mapper came to. */
struct finding {
    struct json_object *candidates; /* list of {id: [names]}; empty after a failure */
    struct json_object *details;    /* for an explanation, or NULL */
    char *failure;                  /* "(Type) text", or NULL */
};

/* expression.c: fills f; explain asks for details as well. */
void expression_evaluate(const struct mapper *m, struct json_object *identities, bool explain,
                         struct finding *f);

/* external.c: starts the program; done(arg) once f is filled, never from within the call.  NULL
 * when it could not be started: f is filled. */
struct external;
struct external *external_start(const struct mapper *m, struct loop *loop, const char *endpoint_id,
                                struct json_object *identities, struct finding *f,
                                void (*done)(void *arg), void *arg);
void external_cancel(struct external *x);

#endif
