/* Times for people and for wires, and pauses between tries. */
#ifndef SALLYPORT_BASE_CLOCK_H
#define SALLYPORT_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t clock_mono_us(void);
int64_t clock_unix_ns(void);
double clock_unix(void);
/* Local time with offset and microseconds, as Python's datetime.isoformat(): 33 bytes with NUL. */
void clock_iso_local(int64_t unix_ns, char *out, size_t n);
/* UTC "2026-11-24T14:00:00.000000" (no suffix). */
void clock_iso_utc(int64_t unix_ns, char *out, size_t n);

/* Growing pause with full jitter: uniform in [base/2, min(cap, base * 2^tries)]. */
uint64_t backoff_us(unsigned tries, uint64_t base_us, uint64_t cap_us);
/* Uniform in [lo, hi]. */
uint64_t random_between(uint64_t lo, uint64_t hi);

#endif
