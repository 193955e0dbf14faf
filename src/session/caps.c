/* Capabilities, by libcap-ng.  A change of uid from 0 clears most of them; a manager that has only
 * capabilities and no uid 0 keeps them through it, so they are cleared by hand in any case. */
#include <cap-ng.h>
#include <errno.h>
#include <sys/prctl.h>

#include "session/session.h"

/* Needs CAP_SETPCAP, so before the user changes.  Without that capability the set stays and
 * no_new_privs alone keeps it from being used. */
void caps_drop_bounding(const struct session *s)
{
    if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
        return;
    capng_clear(CAPNG_SELECT_BOUNDS);
    if (capng_apply(CAPNG_SELECT_BOUNDS) != 0)
        session_fail(s, SESSION_RIGHTS, "the capability bounding set can't be emptied");
    for (int i = 0; i <= CAP_LAST_CAP; i++) {
        errno = 0;
        if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
            session_fail(s, SESSION_RIGHTS, "the capability bounding set is not empty");
    }
}

void caps_drop(const struct session *s)
{
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        session_fail(s, SESSION_RIGHTS, "ambient capabilities can't be cleared");
    capng_clear(CAPNG_SELECT_CAPS);
    if (capng_apply(CAPNG_SELECT_CAPS) != 0)
        session_fail(s, SESSION_RIGHTS, "capabilities can't be dropped");
}

void caps_prove(const struct session *s)
{
    /* What the kernel says, not what the library remembers. */
    if (capng_get_caps_process() != 0)
        session_fail(s, SESSION_RIGHTS, "capabilities can't be read");
    errno = 0;
    if (capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE)
        session_fail(s, SESSION_RIGHTS, "capabilities are left although the system said no");
    for (int i = 0; i <= CAP_LAST_CAP; i++)
        if (capng_have_capability(CAPNG_INHERITABLE, (unsigned)i))
            session_fail(s, SESSION_RIGHTS, "an inheritable capability is left");
}
