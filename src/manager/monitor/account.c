/* See account.h.  Users learn that their account is not accepted; which rule refused it is for the
 * administrator's log, except where the user alone can act on it. */
#include "manager/monitor/account.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GROUPS_MAX 65536

static int refuse(struct account *a, int code, const char *user_text, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static int refuse(struct account *a, int code, const char *user_text, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(a->admin_text, sizeof(a->admin_text), fmt, ap);
    va_end(ap);
    snprintf(a->user_text, sizeof(a->user_text), "%s", user_text);
    return a->code = code;
}

static int refuse_account(struct account *a, const char *why)
{
    return refuse(a, TABLE_BAD_ACCOUNT,
                  "The local account that you are mapped to may not be used here; see your system "
                  "administrator",
                  "Local account '%s' (uid %u) is refused: %s", a->user, (unsigned)a->uid, why);
}

/* --- the rules, one each -------------------------------------------------------------------- */

static bool is_denied(const char *list, const char *name)
{
    for (const char *p = list; *p; p += strlen(p) + 1)
        if (strcmp(p, name) == 0)
            return true;
    return false;
}

static bool is_same_user(const struct account_rules *r, const struct passwd *pw)
{
    return pw->pw_uid == 0 || pw->pw_uid == r->own_uid || strcmp(pw->pw_name, r->own_name) == 0 ||
           strcmp(pw->pw_name, "root") == 0;
}

/* "!" alone means that there never was a password; "!" in front of one, that somebody locked it. */
static bool is_locked(const struct spwd *sp)
{
    const char *p = sp->sp_pwdp ? sp->sp_pwdp : "";
    return p[0] == '!' && p[strspn(p, "!*")] != '\0';
}

static int check_shadow(const struct account_source *src, struct account *a)
{
    const struct spwd *sp = src->shadow(a->user);
    if (!sp)
        return 0;
    int64_t today = src->today();
    if (sp->sp_expire >= 0 && today >= sp->sp_expire)
        return refuse_account(a, "it has expired (shadow file)");
    if (is_locked(sp))
        return refuse_account(a, "it is locked (shadow file)");
    if (sp->sp_lstchg > 0 && sp->sp_max >= 0 && sp->sp_inact >= 0 &&
        today > (int64_t)sp->sp_lstchg + sp->sp_max + sp->sp_inact)
        return refuse_account(a, "its password has expired and the grace time is over");
    return 0;
}

static int check_shell(const struct account_rules *r, const struct account_source *src,
                       const struct passwd *pw, struct account *a)
{
    char why[256];
    const char *shell = pw->pw_shell && *pw->pw_shell ? pw->pw_shell : "/bin/sh";
    const char *base = strrchr(shell, '/') ? strrchr(shell, '/') + 1 : shell;
    if (r->allow_nologin_shells)
        return 0;
    if (strcmp(base, "nologin") != 0 && strcmp(base, "false") != 0 && src->shell_is_listed(shell))
        return 0;
    snprintf(why, sizeof(why),
             "its shell %s is no login shell of /etc/shells (sallyport.allow_nologin_shells "
             "lifts this)",
             shell);
    return refuse_account(a, why);
}

static int check_group(const struct account_rules *r, const struct account_source *src,
                       struct account *a)
{
    char why[256];
    gid_t *list = NULL;
    int n = 64, rc = -1;
    bool is_member = false;
    if (!r->required_group[0])
        return 0;
    const struct group *gr = src->group(r->required_group);
    if (!gr) {
        snprintf(why, sizeof(why), "the required group %s does not exist", r->required_group);
        return refuse_account(a, why);
    }
    gid_t wanted = gr->gr_gid;
    for (int room = n; rc < 0 && room <= GROUPS_MAX; room = n > room ? n : room * 2) {
        free(list);
        list = calloc((size_t)room, sizeof(*list));
        if (!list)
            break;
        n = room;
        rc = src->groups(a->user, a->gid, list, &n);
    }
    for (int i = 0; rc >= 0 && i < n; i++)
        is_member = is_member || list[i] == wanted;
    free(list);
    if (is_member)
        return 0;
    snprintf(why, sizeof(why), "it is no member of the group %s", r->required_group);
    return refuse_account(a, why);
}

static int check_mapped(const struct account_rules *r, const struct account_source *src,
                        const struct passwd *pw, struct account *a)
{
    char why[256];
    int64_t least = r->minimum_uid >= 0 ? r->minimum_uid : src->uid_min();
    if (is_denied(r->deny_users, a->user))
        return refuse_account(a, "it is in sallyport.deny_users");
    if (a->uid == (uid_t)-1 || a->gid == (gid_t)-1)
        return refuse_account(a, "its uid or gid is not a valid one");
    if (a->uid == r->listener_uid)
        return refuse_account(a, "it is the account of the listener");
    if ((int64_t)a->uid < least) {
        snprintf(why, sizeof(why), "its uid is below %lld (sallyport.minimum_uid, or UID_MIN)",
                 (long long)least);
        return refuse_account(a, why);
    }
    if (check_shadow(src, a) || check_shell(r, src, pw, a) || check_group(r, src, a))
        return a->code;
    return 0;
}

int account_check(const struct account_rules *r, const struct account_source *src, const char *user,
                  struct account *a)
{
    *a = (struct account){.magic = ACCOUNT_MAGIC};
    snprintf(a->user, sizeof(a->user), "%s", user);
    errno = 0;
    const struct passwd *pw = src->by_name(user);
    if (!pw && errno != 0 && errno != ENOENT && errno != ESRCH)
        return refuse(
            a, TABLE_BAD_ACCOUNT, "The local account could not be looked up; try again later",
            "Local account '%s': the user database can't be read: %s", user, strerror(errno));
    if (!pw)
        return refuse(a, TABLE_NO_ACCOUNT,
                      "Identity mapped to a local user name, but local user does not exist.",
                      "getpwnam(): name not found: '%s'", user);
    a->uid = pw->pw_uid;
    a->gid = pw->pw_gid;
    if (snprintf(a->user, sizeof(a->user), "%s", pw->pw_name) >= (int)sizeof(a->user))
        return refuse_account(a, "its name is too long");
    if (!r->mapping) {
        if (pw->pw_uid == r->own_uid)
            return 0;
        return refuse_account(a, "without identity mapping only the manager's own account is used");
    }
    if (is_same_user(r, pw)) {
        if (r->force_same_user)
            return 0;
        return refuse(a, TABLE_SAME_USER,
                      "The local account that you are mapped to may not be used here; see your "
                      "system administrator",
                      "Requested UID is same as multi-user UID, but configuration does not allow "
                      "it.  MEP uid: %u, name: %s; requested uid: %u, name: %s",
                      (unsigned)r->own_uid, r->own_name, (unsigned)pw->pw_uid, pw->pw_name);
    }
    return check_mapped(r, src, pw, a);
}

/* --- the system's databases ----------------------------------------------------------------- */

static bool system_shell_is_listed(const char *shell)
{
    bool found = false;
    setusershell();
    for (const char *s; !found && (s = getusershell());)
        found = strcmp(s, shell) == 0;
    endusershell();
    return found;
}

static int64_t system_uid_min(void)
{
    char line[512];
    long long n, least = 1000;
    FILE *f = fopen("/etc/login.defs", "re");
    if (!f)
        return least;
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, " UID_MIN %lld", &n) == 1 && n >= 0)
            least = n;
    fclose(f);
    return least;
}

static int64_t system_today(void)
{
    return (int64_t)time(NULL) / 86400;
}

const struct account_source account_system = {
    .by_name = getpwnam,
    .shadow = getspnam,
    .group = getgrnam,
    .groups = getgrouplist,
    .shell_is_listed = system_shell_is_listed,
    .uid_min = system_uid_min,
    .today = system_today,
};
