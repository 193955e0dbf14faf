/* The title lives where argv and environ were: the environment is copied away first, then the whole
 * run of bytes is ours, and the kernel is told its bounds (PR_SET_MM needs a capability, so the old
 * trick of overwriting is used alone: /proc/PID/cmdline shows up to the first NUL run). */
#include "lib/base/proctitle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"

static char *start;
static size_t room;

void proctitle_init(int argc, char **argv)
{
    if (argc < 1 || start)
        return;
    char *end = argv[0];
    for (int i = 0; i < argc && argv[i] == end; i++)
        end = argv[i] + strlen(argv[i]) + 1;
    size_t n = 0;
    for (; environ[n]; n++)
        if (environ[n] == end)
            end = environ[n] + strlen(environ[n]) + 1;
    static char **copy; /* kept reachable: setenv() leaves it behind */
    copy = xcalloc(n + 1, sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy[i] = xstrdup(environ[i]);
    environ = copy;
    /* Callers keep using argv[1..]: they move as well. */
    char *was = argv[0];
    for (int i = 0; i < argc; i++)
        argv[i] = xstrdup(argv[i]);
    start = was;
    room = (size_t)(end - was);
}

void proctitle_set(const char *fmt, ...)
{
    if (!start || room < 2)
        return;
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    size_t n = strnlen(text, room - 1);
    memcpy(start, text, n);
    memset(start + n, 0, room - n);
}
