/* String-keyed hash map.  Keys are copied; values are the caller's. */
#ifndef SALLYPORT_BASE_MAP_H
#define SALLYPORT_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

struct map;

struct map *map_create(void);
void map_destroy(struct map *m, void (*free_value)(void *)); /* NULL map, NULL function: fine */
void *map_get(const struct map *m, const char *key);         /* NULL when absent */
void *map_put(struct map *m, const char *key,
              void *value);                    /* returns the value replaced, or NULL */
void *map_del(struct map *m, const char *key); /* returns the value removed, or NULL */
size_t map_count(const struct map *m);
/* for (size_t it = 0; map_next(m, &it, &key, &value);)  - map_del() of the present key is allowed
 */
bool map_next(const struct map *m, size_t *it, const char **key, void **value);

#endif
