/* What the manager hands to a new child, and what the child hands back.
 *
 * monitor ──fork, exec──▶ session ──drop, exec──▶ prepare ──exec──▶ user endpoint
 *
 * Descriptors have fixed numbers in session and prepare.  The status pipe is close-on-exec in
 * prepare: end of file without a record means that the user endpoint's exec has succeeded; else
 * exactly one record tells why there is none. */
#ifndef SALLYPORT_HANDOVER_HANDOVER_H
#define SALLYPORT_HANDOVER_HANDOVER_H

#include <stdint.h>

enum handover_fd {
    HANDOVER_CREDENTIALS = 3, /* read-only memory file: Fernet token (stays open in the endpoint) */
    HANDOVER_AUDIT = 4,       /* audit pipe, or closed */
    HANDOVER_BLOB = 5,        /* memory file: JSON, see lib/handover/blob.h */
    HANDOVER_TEMPLATE = 6,    /* the administrator's files, opened by the monitor */
    HANDOVER_SCHEMA = 7,      /* or closed when there is none */
    HANDOVER_ENVIRONMENT = 8, /* or closed */
    HANDOVER_STATUS = 9,
    HANDOVER_END = 10, /* nothing from here on is open */
};

#define HANDOVER_MAGIC 0x53506831u /* "SPh1" */
#define HANDOVER_TEXT 1500

/* Variables that PAM modules have set reach prepare in its environment under names that begin so:
 * neither the program loader nor a library obeys them there, while the administrator's files are
 * still open. */
#define HANDOVER_PAM_PREFIX "SALLYPORT_PAM_"

/* Written in one write(); a pipe takes it whole (PIPE_BUF is 4096). */
struct handover_record {
    uint32_t magic;
    int32_t code;              /* exit code of the step: endpoint-manager.md section 9 */
    char user[HANDOVER_TEXT];  /* for the SDK's user: "(ValidationError) 5 is not of type ..." */
    char admin[HANDOVER_TEXT]; /* for the administrator's log; "" = the same */
};

/* Fills and writes the record, then _exit(code).  Texts are cut to fit; safe after fork. */
void handover_fail(int code, const char *user, const char *admin) __attribute__((noreturn));

#endif
