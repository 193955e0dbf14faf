/* What must hold before a user endpoint runs, in the original's order, and the one report that goes
 * to the service when it doesn't (spec: user-endpoint.md section 4). */
#ifndef SALLYPORT_ENDPOINT_STARTUP_H
#define SALLYPORT_ENDPOINT_STARTUP_H

#include "endpoint/credentials.h"
#include "endpoint/document.h"
#include "endpoint/engine.h"
#include "endpoint/settings.h"
#include "lib/base/pidfile.h"

struct startup {
    const char *dir, *name; /* name: as it was asked for */
    struct document document;
    struct settings settings;
    struct engine engine;
    struct credentials *credentials;
    struct queues queues;
    struct pidfile *pidfile;
    /* of a failure */
    const char *error_class; /* "ClickException", ... */
    int exit_code;
    struct err err;
};

/* s->document is read, dir and name are set.  0, or -1 with the failure described. */
int startup_prepare(struct startup *s);
/* Describes a failure of a later step. */
int startup_fail(struct startup *s, const char *error_class, int exit_code);
/* Tells the service, and the log; the exit code. */
int startup_report(struct startup *s);
void startup_clear(struct startup *s);
/* sh -c; 0, or -1 when it ended with anything but 0. */
int startup_run_script(const char *script, const char *what);

#endif
