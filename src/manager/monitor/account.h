/* May this account have user endpoints here?  Look-up and checks, each refusal a sentence.
 *
 * Runs in the forked child of a start, so that a slow directory service blocks one start and not
 * the monitor.  The databases sit behind a struct of functions; tests bring their own. */
#ifndef SALLYPORT_MANAGER_MONITOR_ACCOUNT_H
#define SALLYPORT_MANAGER_MONITOR_ACCOUNT_H

#include <grp.h>
#include <pwd.h>
#include <shadow.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "manager/table.h"

struct account_rules {
    bool mapping; /* other accounts than our own; without it only our own */
    uid_t own_uid;
    char own_name[TABLE_USER];
    uid_t listener_uid;   /* nobody's processes may meet the listener as equals */
    bool force_same_user; /* lifts the refusal of our own account */
    int64_t minimum_uid;  /* -1 = UID_MIN of login.defs */
    bool allow_nologin_shells;
    const char *required_group; /* "" = none */
    const char *deny_users;     /* as in struct table_settings */
};

struct account_source {
    struct passwd *(*by_name)(const char *name); /* errno as getpwnam(3) */
    struct spwd *(*shadow)(const char *name);    /* NULL = none, or not readable */
    struct group *(*group)(const char *name);
    int (*groups)(const char *name, gid_t gid, gid_t *list, int *n); /* as getgrouplist(3) */
    bool (*shell_is_listed)(const char *shell);
    int64_t (*uid_min)(void);
    int64_t (*today)(void); /* days since 1970 */
};
extern const struct account_source account_system;

#define ACCOUNT_MAGIC 0x53504163u
#define ACCOUNT_TEXT 900

/* Written in one write() by the child of a start. */
struct account {
    uint32_t magic;
    int32_t code; /* 0 = accepted, or an enum table_refusal */
    uid_t uid;
    gid_t gid;
    char user[TABLE_USER];         /* as the database spells it */
    char user_text[ACCOUNT_TEXT];  /* why not, for the SDK's user */
    char admin_text[ACCOUNT_TEXT]; /* ... for the log */
};

/* Fills all of `out`; its code. */
int account_check(const struct account_rules *rules, const struct account_source *source,
                  const char *user, struct account *out);

#endif
