/* Stands for a user endpoint in bench/manager.py: says when its main began, then leaves or stays.
 *   MARKS   a file that everybody may append to: "NAME SECONDS PID"
 *   STAY    set: until it is told to end */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const char *marks = getenv("MARKS"), *name = getenv("GLOBUS_COMPUTE_ENDPOINT_NAME");
    int fd = marks && name ? open(marks, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    if (fd < 0)
        return 1;
    int n =
        dprintf(fd, "%s %lld.%09ld %d\n", name, (long long)now.tv_sec, now.tv_nsec, (int)getpid());
    if (getenv("STAY"))
        pause();
    return n > 0 ? 0 : 1;
}
