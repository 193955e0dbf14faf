/* See fail.h. */
#include "prepare/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/handover/handover.h"

static bool user_stays;

void fail_about(const struct blob *b)
{
    user_stays = !b->privileged || getuid() == 0;
}

static void fail_with(enum step step, const char *type, const char *detail, const char *text)
    __attribute__((noreturn));
static void fail_with(enum step step, const char *type, const char *detail, const char *text)
{
    struct buf user = BUF_INIT, admin = BUF_INIT;
    buf_fmt(&user, "(%s) %s", type, text);
    buf_str(&admin, user.data);
    if (detail != NULL)
        buf_fmt(&admin, " [%s]", detail);
    /* Without a change of user the steps between setup and setsid don't exist. */
    handover_fail(user_stays && step >= STEP_DEFAULTS ? (int)step - 4 : (int)step, user.data,
                  admin.data);
}

void fail(enum step step, const char *type, const char *detail, const char *fmt, ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vfmt(&text, fmt, ap);
    va_end(ap);
    fail_with(step, type, detail, text.data);
}

static const char *exception_of(int code)
{
    switch (code) {
    case ENOENT:
        return "FileNotFoundError";
    case EACCES:
    case EPERM:
        return "PermissionError";
    case ENOTDIR:
        return "NotADirectoryError";
    case EISDIR:
        return "IsADirectoryError";
    case EEXIST:
        return "FileExistsError";
    default:
        return "OSError";
    }
}

void fail_errno(enum step step, const char *detail, const char *fmt, ...)
{
    int code = errno;
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vfmt(&text, fmt, ap);
    va_end(ap);
    buf_fmt(&text, ": %s", strerror(code));
    fail_with(step, exception_of(code), detail, text.data);
}
