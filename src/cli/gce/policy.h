/* Creating an authentication policy while configuring (spec: cli.md 4.2, point 7). */
#ifndef SALLYPORT_GCE_POLICY_H
#define SALLYPORT_GCE_POLICY_H

#include <stdbool.h>

#include "lib/cli/cli.h"

#define POLICY_DISPLAY_NAME "Globus Compute Authentication Policy"
#define POLICY_DESCRIPTION "This policy was created automatically by Globus Compute."

/* One of the options that describe a new policy was given. */
bool policy_is_wanted(const struct args *a);
/* 0 and *id (caller frees); an exit code; -1 when the person quit. */
int policy_create(const struct args *a, bool high_assurance, char **id);

#endif
