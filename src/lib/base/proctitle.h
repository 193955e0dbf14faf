/* What `ps` shows.  Call proctitle_init() first thing in main(). */
#ifndef SALLYPORT_BASE_PROCTITLE_H
#define SALLYPORT_BASE_PROCTITLE_H

void proctitle_init(int argc, char **argv);
void proctitle_set(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
