/* See clock.h. */
#include "lib/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

uint64_t clock_mono_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

int64_t clock_unix_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

double clock_unix(void)
{
    return (double)clock_unix_ns() / 1e9;
}

void clock_iso_local(int64_t unix_ns, char *out, size_t n)
{
    time_t s = (time_t)(unix_ns / 1000000000);
    struct tm tm;
    localtime_r(&s, &tm);
    long off = tm.tm_gmtoff;
    char sign = off < 0 ? '-' : '+';
    long abs_off = labs(off);
    char day[32];
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, n, "%s.%06ld%c%02ld:%02ld", day, (long)(unix_ns % 1000000000 / 1000), sign,
             abs_off / 3600, abs_off / 60 % 60);
}

void clock_iso_utc(int64_t unix_ns, char *out, size_t n)
{
    time_t s = (time_t)(unix_ns / 1000000000);
    struct tm tm;
    gmtime_r(&s, &tm);
    char day[32];
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, n, "%s.%06ld", day, (long)(unix_ns % 1000000000 / 1000));
}

uint64_t random_between(uint64_t lo, uint64_t hi)
{
    uint64_t r = 0;
    if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
        r = clock_mono_us() * 2654435761u;
    return hi <= lo ? lo : lo + r % (hi - lo + 1);
}

uint64_t backoff_us(unsigned tries, uint64_t base_us, uint64_t cap_us)
{
    uint64_t top = base_us;
    while (tries-- && top < cap_us)
        top *= 2;
    return random_between(base_us / 2, top < cap_us ? top : cap_us);
}
