/* What both sides of the link share: sending and receiving frames, keys. */
#ifndef SALLYPORT_LINK_PRIVATE_H
#define SALLYPORT_LINK_PRIVATE_H

#include <zmq.h>

#include "lib/base/buf.h"
#include "lib/link/link.h"

#define TOKEN_TEXT 65 /* 32 random bytes in hexadecimal */
#define KEY_TEXT 41   /* Z85 of a CURVE key */

struct link_keys {
    char public_key[KEY_TEXT], secret_key[KEY_TEXT]; /* secret: endpoint only */
    char token[TOKEN_TEXT];
};
/* The endpoint's: makes dir/link.key (0600).  path: freed by the caller. */
int link_keys_make(struct link_keys *k, const char *dir, char **path, struct err *err);
/* The agent's: public key and token out of the file. */
int link_keys_read(struct link_keys *k, const char *path, struct err *err);
bool link_tokens_equal(const char *a, const char *b);

/* type + JSON text (json may be NULL), or type + text. */
void link_header_json(struct buf *out, char type, struct json_object *json);
void link_header_text(struct buf *out, char type, const char *text);

/* ZeroMQ's descriptor tells of changes only once: after every call into the socket its state must
 * be asked for again.  A pump does that: it calls `readable`, which receives until the socket has
 * nothing more (false; also when it has closed the socket) or has had enough for now (true). */
struct link_pump;
typedef bool link_readable_f(void *arg);
struct link_pump *link_pump_create(struct loop *l, void *socket, link_readable_f *readable,
                                   void *arg);
void link_pump_kick(struct link_pump *p); /* after sending */
void link_pump_destroy(struct link_pump *p);

/* One received message; frames beyond the third are dropped. */
struct link_frames {
    zmq_msg_t part[3];
    int count;
};
/* 1 received, 0 nothing there, -1 the socket is broken. */
int link_receive(void *socket, struct link_frames *f);
void link_frames_clear(struct link_frames *f);

#endif
