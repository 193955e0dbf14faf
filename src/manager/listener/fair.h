/* Whose turn is it?  Waiting items in one line a user, taken round robin, so that a user with ten
 * thousand requests waits for himself only.
 *
 * A user has at most `running_max` items taken and not yet done; lines and their sum are bounded.
 */
#ifndef SALLYPORT_LISTENER_FAIR_H
#define SALLYPORT_LISTENER_FAIR_H

#include <stddef.h>

struct fair;

enum fair_room { FAIR_OK, FAIR_USER_FULL, FAIR_ALL_FULL };

struct fair_limits {
    size_t per_user; /* waiting items of one user */
    size_t total;    /* waiting items in all */
    unsigned running_max;
};

struct fair *fair_create(const struct fair_limits *limits);
void fair_destroy(struct fair *f, void (*free_item)(void *)); /* NULL is fine */

/* Items are the caller's pointers. */
enum fair_room fair_push(struct fair *f, const char *user, void *item);
/* The next item, or NULL: nothing waits, or whoever waits has enough running. */
void *fair_take(struct fair *f);
/* An item of the user that was taken is done. */
void fair_done(struct fair *f, const char *user);
size_t fair_waiting(const struct fair *f);

#endif
