/* What stands between fork and exec, while there is still something to drop.
 *
 *   session change-user|same-user PAM-SERVICE|- no-new-privs|- USER UID GID
 *
 * Started by the monitor with the descriptors of lib/handover/handover.h; reads no foreign bytes.
 * Each step either holds or ends the process with its code and one handover record:
 *
 *   70  descriptors, limits, signals, working directory, arguments
 *   75  own session and process group (71 when the user stays the same)
 *   71  PAM; group          72  supplementary groups        73  user
 *   74  capabilities, no_new_privs, proof that nothing comes back
 *   76  umask               87  exec of prepare */
#ifndef SALLYPORT_SESSION_SESSION_H
#define SALLYPORT_SESSION_SESSION_H

#include <stdbool.h>
#include <sys/types.h>

enum session_code {
    SESSION_SETUP = 70,
    SESSION_PAM = 71,
    SESSION_GROUP = 71,
    SESSION_GROUPS = 72,
    SESSION_USER = 73,
    SESSION_RIGHTS = 74,
    SESSION_SETSID = 75,
    SESSION_UMASK = 76,
    SESSION_EXEC = 87,
};

struct session {
    bool change_user, no_new_privs;
    const char *pam_service; /* NULL = without PAM */
    const char *user;
    uid_t uid, old_uid;
    gid_t gid, old_gid;
};

/* The record and _exit(code): what failed, with errno's text when it is not 0. */
void session_fail(const struct session *s, int code, const char *what) __attribute__((noreturn));

/* identity.c: group, groups, user, in that order. */
void identity_drop(const struct session *s);
/* Neither user nor group comes back, and they are what they should be. */
void identity_prove(const struct session *s);

/* caps.c: before the user changes: bounding set; after: everything else; then the proof. */
void caps_drop_bounding(const struct session *s);
void caps_drop(const struct session *s);
void caps_prove(const struct session *s);

/* pam.c: account, credentials, session; afterwards in the keeper: the reverse. */
void pam_begin(const struct session *s);
/* What its modules have set, each name behind HANDOVER_PAM_PREFIX; NULL-terminated, never freed. */
char **pam_environment(const struct session *s);
void pam_finish(void);

/* keeper.c: leaves a privileged process behind that closes the PAM session when this one ends. */
void keeper_start(const struct session *s);

#endif
