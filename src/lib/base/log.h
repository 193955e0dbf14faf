/* The log of a process: one line says what happened, to whom, and what follows.
 *
 * Line format (that of globus-compute-endpoint 4.19, so that sites' parsers survive):
 *   2026-11-24 14:00:00,123456 INFO <proc>-<pid> <thread>-<tid> <module>:<line> <function>
 * <message> On the console (log_console) INFO lines are "> " + message, others carry the full
 * prefix.
 *
 * error = somebody must act; warning = somebody may want to know; info = a life-cycle event;
 * debug = the rest.  Credentials in URLs (user:password@) are masked in every line. */
#ifndef SALLYPORT_BASE_LOG_H
#define SALLYPORT_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_L_DEBUG, LOG_L_INFO, LOG_L_WARNING, LOG_L_ERROR, LOG_L_CRITICAL };

/* proc: the <proc> word, e.g. "MainProcess".  Nothing is written until a destination is set. */
void log_init(const char *proc, enum log_level level);
void log_level_set(enum log_level level);
bool log_is_debug(void);
/* Lines go to fd (not closed by us); -1 = none.  With path set the file is rotated to "<path>.1"
 * when it has reached 100 MiB and is a regular file; log_reopen() opens path anew (SIGHUP). */
void log_file(int fd, const char *path);
int log_reopen(void);
/* Lines also go to stderr.  plain: INFO as "> message"; colour only when asked. */
void log_console(bool on, bool colour);
/* Turns lines into journald priorities "<6>message" on stderr (under systemd without a file). */
void log_journal(bool on);

void log_write(enum log_level level, const char *file, int line, const char *func, const char *fmt,
               ...) __attribute__((format(printf, 5, 6)));

#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (log_is_debug())                                                                        \
            log_write(LOG_L_DEBUG, __FILE__, __LINE__, __func__, __VA_ARGS__);                     \
    } while (0)
#define log_info(...) log_write(LOG_L_INFO, __FILE__, __LINE__, __func__, __VA_ARGS__)
#define log_warning(...) log_write(LOG_L_WARNING, __FILE__, __LINE__, __func__, __VA_ARGS__)
#define log_error(...) log_write(LOG_L_ERROR, __FILE__, __LINE__, __func__, __VA_ARGS__)
#define log_critical(...) log_write(LOG_L_CRITICAL, __FILE__, __LINE__, __func__, __VA_ARGS__)

/* True at most `burst` times per `period_s`; the next allowed line tells how many were dropped.
 *     static struct log_rate rate = LOG_RATE(5, 60);
 *     if (log_rate_ok(&rate)) log_warning(...); */
struct log_rate {
    unsigned burst;
    unsigned period_s;
    uint64_t window_us;
    unsigned used;
    unsigned dropped;
};
#define LOG_RATE(n, s)                                                                             \
    {                                                                                              \
        .burst = (n), .period_s = (s)                                                              \
    }
bool log_rate_ok(struct log_rate *rate);

/* Copy of s with the user and password of URLs replaced by "***:***"; caller frees. */
char *log_mask(const char *s);

#endif
