/* What the files of web/ share. */
#ifndef SALLYPORT_WEB_PRIVATE_H
#define SALLYPORT_WEB_PRIVATE_H

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "service/web/page.h"
#include "service/web/web.h"

struct events;

struct web {
    struct web_opts opts;
    struct events *events;
};

/* One question to the ledger. */
struct look {
    struct web *web;
    struct req *r;
    char sub[UUID_TEXT];
    bool all;           /* an administrator who wants to see everybody's */
    struct buf mine;    /* "'id','id'": the asker's identities, for IN (...) */
    char id[UUID_TEXT]; /* of the path, or "" */
    /* tasks.c */
    int status;             /* task state asked for, -1 = any */
    char before[UUID_TEXT]; /* older than this task, or "" */
    /* of the job */
    int (*job)(struct look *l, struct db *db, struct err *err);
    struct json_object *out;      /* NULL after the job: there is none, or not for this person */
    void (*then)(struct look *l); /* instead of the plain reply; ends with look_reply() */
};

/* Who asks?  Then the job; then the reply. */
void look_begin(struct req *r, int (*job)(struct look *l, struct db *db, struct err *err),
                void (*then)(struct look *l));
void look_reply(struct look *l); /* and ends it */
/* Is this identity one of the asker's, or does the asker see everybody's? */
bool look_may_see(const struct look *l, const char *owner);
double look_seconds(struct db_rows *rows, int column); /* microseconds there; 0 = null */

/* presence in the ledger is written every 20 s: */
#define PRESENCE_LAG_S 25
bool look_is_online(struct db_rows *rows, int seen, int period, int active);

/* What people call the owner, with auth_identities as i: a client goes by its name and that of the
 * user whose it is. */
#define OWNER_NAME                                                                                 \
    "CASE WHEN i.kind = 'client' THEN i.name || COALESCE((SELECT ' (' || MIN(a.username) || ')' "  \
    "FROM auth_identities a WHERE a.set_id = i.set_id AND a.kind = 'user'), '') ELSE i.username "  \
    "END"

void web_endpoints(struct req *r);
void web_endpoint(struct req *r);
void web_people(struct req *r);
void web_tasks(struct req *r);
void web_task(struct req *r);
int tasks_state(const char *name); /* -1 = any */
/* The newest tasks that fit; uep "" = of any endpoint. */
struct json_object *tasks_newest(struct look *l, struct db *db, const char *endpoint, int status,
                                 const char *before, int most, struct err *err);

struct events *events_create(struct web *w);
void events_stop(struct events *e); /* ends the streams */
void events_destroy(struct events *e);
void events_open(struct events *e, struct req *r);

#endif
