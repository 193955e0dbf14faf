/* The ids of tasks that were answered in this life, the last hundred thousand of them: a task that
 * the broker delivers again after a reconnect must not run again. */
#ifndef SALLYPORT_ENDPOINT_IDS_H
#define SALLYPORT_ENDPOINT_IDS_H

#include <stdbool.h>
#include <stddef.h>

#define IDS_MAX 131072

struct ids;

struct ids *ids_create(void);
void ids_destroy(struct ids *s);
/* id: canonical UUID text.  Beyond IDS_MAX the oldest is forgotten. */
void ids_add(struct ids *s, const char *id);
bool ids_has(const struct ids *s, const char *id);

#endif
