/* Shared by the files of lib/config only. */
#ifndef SALLYPORT_CONFIG_PRIVATE_H
#define SALLYPORT_CONFIG_PRIVATE_H

#include "lib/config/config.h"

enum field_kind {
    FIELD_TEXT,    /* char * or NULL */
    FIELD_PATH,    /* the same; empty text counts as null */
    FIELD_ID,      /* canonical UUID or NULL; empty text counts as null */
    FIELD_IDS,     /* list of canonical UUIDs, or NULL */
    FIELD_NAMES,   /* list of texts, or NULL */
    FIELD_BOOL,    /* bool */
    FIELD_INT,     /* int64_t */
    FIELD_NUMBER,  /* double */
    FIELD_PAM,     /* the mapping `pam` */
    FIELD_OURS,    /* the mapping `sallyport`, whose keys are fields of their own */
    FIELD_IGNORED, /* accepted, read elsewhere */
};

/* Which of the original's classes complains about the key. */
enum field_group { GROUP_BASE, GROUP_CORE, GROUP_OURS };

struct field {
    const char *key;
    enum field_kind kind;
    enum field_group group;
    size_t offset;
    bool seed_only; /* known only with multi_user: true */
    bool can_be_null;
    bool template_sees; /* part of _GC.parent_config */
};

extern const struct field config_fields[];
extern const size_t config_fields_count;

/* Problems of one document, in the words of the original. */
struct problems {
    unsigned count;
    bool core; /* one of them is of GROUP_CORE */
    const char *text;
    struct buf list;
};
void problem_add(struct problems *p, const struct field *f, const char *key, const char *kind,
                 struct json_object *value, const char *message);

void config_defaults(struct config *c);
/* Checks and converts the member of the document. */
void field_take(struct config *c, const struct field *f, struct json_object *value,
                struct problems *p);
const struct field *field_find(const char *key, enum field_group ours_or_base);
/* The known key that looks most like it, or NULL. */
const char *field_guess(const char *key, bool ours);

#endif
