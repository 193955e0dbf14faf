/* drain: the running service finishes what it accepted, and ends; waits for that. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/sallyport/commands.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/pidfile.h"

#define PAUSE_US 50000
#define WAIT_S 60 /* a service gives its requests 20 s, and its broker 15 */

static pid_t running(const char *path, struct err *err)
{
    autobuf struct buf b = BUF_INIT;
    struct err lines = ERR_INIT;
    int rc = pidfile_check(path, 60, &lines);
    if (rc == 1 && fs_read(path, 64, &b, err) == 0)
        return (pid_t)strtol(b.data, NULL, 10);
    if (rc < 0)
        return err_set(err, "%s", lines.text);
    if (rc == 0)
        err_set(err, "no service runs there: %s", path);
    return -1;
}

int cmd_drain(const struct args *a)
{
    struct err err = ERR_INIT;
    const char *name = args_get(a, "--instance");
    autofree char *path =
        xasprintf("%s/service%s%s.pid", args_data(a), name ? "-" : "", name ? name : "");
    pid_t pid = running(path, &err);
    if (pid <= 0)
        return fail("%s", err.text);
    if (kill(pid, SIGTERM) < 0)
        return fail("process %d of %s: %s", (int)pid, path, strerror(errno));
    /* The lock beside the file tells, not the process: its parent may be slow to take its leave. */
    double end = clock_unix() + WAIT_S;
    bool runs = true;
    while (runs && clock_unix() < end) {
        usleep(PAUSE_US);
        runs = pidfile_check(path, 60, &err) == 1;
    }
    if (runs)
        return fail("process %d is still finishing after %d seconds; it goes on by itself",
                    (int)pid, WAIT_S);
    puts("The service has ended; what it accepted is in the ledger and with the broker.");
    return 0;
}
