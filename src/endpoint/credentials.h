/* Where the broker is and how to enter it: from the document itself, or from a memory file that the
 * manager refreshes and that is read again at each connection attempt. */
#ifndef SALLYPORT_ENDPOINT_CREDENTIALS_H
#define SALLYPORT_ENDPOINT_CREDENTIALS_H

#include "endpoint/document.h"
#include "lib/base/uuid.h"
#include "lib/wire/queue_info.h"

struct credentials;

enum queue { QUEUE_TASKS, QUEUE_RESULTS, QUEUE_HEARTBEATS };

/* All three, as they are now. */
struct queues {
    char endpoint_id[UUID_TEXT];
    struct wire_queue_info info[3]; /* by enum queue */
};

/* d must outlive it.  -1 when the document gives neither kind, or a file without its key. */
struct credentials *credentials_create(const struct document *d, struct err *err);
void credentials_destroy(struct credentials *c);
/* The configuration's amqp_port replaces the port of every URL; 0 = as given. */
void credentials_port(struct credentials *c, int port);
/* err->code is EX_DATAERR when something is missing.  May block for a second. */
int credentials_load(const struct credentials *c, struct queues *out, struct err *err);
/* Only the endpoint's id and where heartbeats go: enough for a report of a failure. */
int credentials_load_heartbeats(const struct credentials *c, struct queues *out, struct err *err);
void queues_clear(struct queues *q);
/* The present URL of one; from any thread; NULL with err. */
char *credentials_url(const struct credentials *c, enum queue which, struct err *err);

#endif
