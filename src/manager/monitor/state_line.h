/* One child in EPDIR/children.state: fields split by TAB, see state.h. */
#ifndef SALLYPORT_MANAGER_MONITOR_STATE_LINE_H
#define SALLYPORT_MANAGER_MONITOR_STATE_LINE_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/buf.h"

struct state_line {
    pid_t pid;
    unsigned long long start_time, dev, ino;
    unsigned uid, gid;
    const char *user, *name, *key, *id, *command;
};

/* Appends the line with its end. */
void state_line_write(struct buf *b, const struct state_line *l);
/* The line without its end; it is changed, and the texts point into it.  False: it is none. */
bool state_line_read(char *text, struct state_line *l);

#endif
