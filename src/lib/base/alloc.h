/* Memory that is always there: running out ends the process (its supervisor starts it again). */
#ifndef SALLYPORT_BASE_ALLOC_H
#define SALLYPORT_BASE_ALLOC_H

#include <stddef.h>
#include <stdlib.h>

void *xmalloc(size_t n) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t n) __attribute__((returns_nonnull));
/* NULL gives NULL. */
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n) __attribute__((returns_nonnull));
void *xmemdup(const void *p, size_t n) __attribute__((returns_nonnull));
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

/* Overwrites, then frees; NULL is fine. */
void wipe_free(char *s);

/* char *p autofree = ...;   int fd autoclose = -1; */
static inline void autofree_cb(void *p)
{
    free(*(void **)p);
}
void autoclose_cb(int *fd);
#define autofree __attribute__((cleanup(autofree_cb)))
#define autoclose __attribute__((cleanup(autoclose_cb)))

#endif
