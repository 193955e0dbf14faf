/* Group, supplementary groups, user: in that order, because each needs the rights that the next
 * takes away.  Then the proof: a call that says it has worked is not believed. */
#include <errno.h>
#include <grp.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include "session/session.h"

void identity_drop(const struct session *s)
{
    if (setresgid(s->gid, s->gid, s->gid) < 0)
        session_fail(s, SESSION_GROUP, "setresgid");
    if (initgroups(s->user, s->gid) < 0)
        session_fail(s, SESSION_GROUPS, "initgroups");
    if (setresuid(s->uid, s->uid, s->uid) < 0)
        session_fail(s, SESSION_USER, "setresuid");
}

static void regained(const struct session *s)
{
    errno = 0;
    session_fail(s, SESSION_RIGHTS, "Unexpectedly regained original privileges!");
}

void identity_prove(const struct session *s)
{
    uid_t r, e, saved;
    gid_t gr, ge, gsaved;
    if (getresuid(&r, &e, &saved) < 0 || getresgid(&gr, &ge, &gsaved) < 0)
        session_fail(s, SESSION_RIGHTS, "getresuid");
    errno = 0;
    if (r != s->uid || e != s->uid || saved != s->uid || (uid_t)setfsuid(s->uid) != s->uid)
        session_fail(s, SESSION_RIGHTS, "the user has not changed although the system said so");
    if (gr != s->gid || ge != s->gid || gsaved != s->gid || (gid_t)setfsgid(s->gid) != s->gid)
        session_fail(s, SESSION_RIGHTS, "the group has not changed although the system said so");
    if (s->uid != s->old_uid && (setuid(s->old_uid) == 0 || seteuid(s->old_uid) == 0))
        regained(s);
    if (s->gid != s->old_gid && (setgid(s->old_gid) == 0 || setegid(s->old_gid) == 0))
        regained(s);
    if (setuid(0) == 0 || (s->gid != 0 && setgid(0) == 0))
        regained(s);
    /* Root's supplementary groups must not have come along; only the database's may be here. */
    if (setgroups(0, NULL) == 0)
        regained(s);
}
