/* python-exec: a Python module with the interpreter that runs the workers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/gce/commands.h"
#include "lib/base/alloc.h"
#include "lib/python/python.h"

int cmd_python_exec(const struct args *a)
{
    struct err err = ERR_INIT;
    size_t n = 0;
    autofree char *python = python_find(&err);
    if (!python)
        return fail("%s", err.text);
    while (a->rest[n])
        n++;
    const char **argv = xcalloc(n + 4, sizeof(*argv));
    argv[0] = python;
    argv[1] = "-m";
    argv[2] = args_operand(a, 0);
    memcpy(argv + 3, a->rest, n * sizeof(*argv));
    execv(python, (char *const *)argv);
    int rc = fail("%s can't be run: %s", python, strerror(errno));
    free(argv);
    return rc;
}
