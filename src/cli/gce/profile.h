/* The files of a new endpoint directory (spec: cli.md 4.4). */
#ifndef SALLYPORT_GCE_PROFILE_H
#define SALLYPORT_GCE_PROFILE_H

#include <stdbool.h>

#include "lib/base/err.h"

struct profile {
    const char *epdir;
    bool seed_form;
    bool mapping;
    bool high_assurance;
    const char *display_name; /* these: NULL = not given */
    const char *email;
    const char *policy;
    const char *subscription;
    const char *config_source; /* files to copy instead of the defaults; NULL = default */
    const char *template_source;
    const char *schema_source;
    const char *environment_source;
    const char *idmap_source;
};

/* Makes the directory and its files with their modes, whatever the umask; on failure nothing is
 * left.  The directory must not exist. */
int profile_create(const struct profile *p, struct err *err);

/* Names of files inside, static memory. */
const char *profile_template_name(const struct profile *p);
const char *profile_idmap_name(const struct profile *p);

#endif
