/* What the monitor hands over when it has started a listener: HELLO and the five FILE messages. */
#ifndef SALLYPORT_LISTENER_HELLO_H
#define SALLYPORT_LISTENER_HELLO_H

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "manager/table.h"

#define HELLO_FILES (TABLE_TOKENS + 1)

struct hello_file {
    bool came;
    int fd;                /* -1: the file is absent; kept open for the mapping only */
    int code;              /* errno of an absent one, or 0 */
    struct buf text;       /* whole */
    char path[TABLE_PATH]; /* where it lies, when that can be seen; else "" */
};

struct hello {
    struct table_message m; /* m.hello */
    struct hello_file files[HELLO_FILES];
};

/* Waits for all of them, at most half a minute.  0 or -1. */
int hello_receive(int socket, struct hello *h, struct err *err);
/* One FILE message: takes fd. */
int hello_take_file(struct hello_file *f, const struct table_message *m, int fd, struct err *err);
void hello_clear(struct hello *h); /* wipes the tokens */

#endif
