/* What the files of api/ share. */
#ifndef SALLYPORT_SERVICE_API_PRIVATE_H
#define SALLYPORT_SERVICE_API_PRIVATE_H

#include <sys/queue.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/base/uuid.h"
#include "service/api/access.h"
#include "service/api/api.h"
#include "service/fault.h"

#define BODY_SUBMIT_MAX (10u << 20) /* of the payloads; the request may be a little larger */
#define BODY_FUNCTION_MAX (5u << 20)
#define BODY_ENDPOINT_MAX (4u << 20)
#define TASKS_MAX 10000 /* in one request */

struct presence;
struct ueps;
struct outbox;
struct results;
struct rowcache;
struct limits;
struct files;
struct grants;
struct maintenance;
struct keeper;

struct api_counters {
    uint64_t accepted, published, succeeded, failed, duplicates, refused_results, starts,
        start_failures, start_timeouts, redelivered, expired, limited;
};

struct api {
    struct loop *loop;
    struct store *store;
    struct creds *creds;
    struct broker *broker;
    struct auth *auth;
    struct api_settings settings;
    char *data_dir;
    struct keeper *keeper;
    struct presence *presence;
    struct ueps *ueps;
    struct outbox *outbox;
    struct results *results;
    struct rowcache *cache;
    struct limits *limits;
    struct files *files;
    struct grants *grants;
    struct server *server; /* for its numbers */
    struct maintenance *maintenance;
    struct api_counters counters;
    loop_f *ready; /* the broker is up */
    void *ready_arg;
    void (*kick)(void *arg, const char *principal); /* ends its connections at the broker */
    void *kick_arg;
};

/* ---- call.c: one request on its way ---- */

struct caller {
    char sub[UUID_TEXT];
    char *username;
    struct json_object *identity_set, *session;
    bool is_admin;
};
/* The identity is one of the caller's. */
bool caller_is(const struct caller *who, const char *identity);

struct call {
    struct api *api;
    struct req *req;
    struct caller caller;
    void *state; /* of the resource */
    void (*free_state)(void *);
    /* A job's refusal: set by call_refuse() there, sent by call_job() afterwards. */
    int status;
    const char *code;
    char *message;
    unsigned retry_s; /* in Retry-After of a 429 or 503; 0 = 1 */
    void (*next)(struct call *c);
};
typedef void call_f(struct call *c);

/* Checks token and rate, then goes on with `then`, which ends with call_end(). */
void call_begin(struct req *r, call_f *then);
void call_end(struct call *c);
void call_reply(struct call *c, int status, struct json_object *body /* taken */);
/* 503 with Retry-After, and a line in the log, though not for each of thousands. */
void call_no_broker(struct call *c, const struct err *err);
/* 429 with Retry-After. */
void call_limited(struct call *c, const char *what, unsigned wait_s);
void call_error(struct call *c, int status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* In a job: the error to send; returns 0 so that a job can end with it. */
int call_refuse(struct call *c, int status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Runs job with c as argument; then next(c), unless the job refused or failed (503). */
void call_job(struct call *c, bool write, store_job_f *job, call_f *next);
/* The path's {id} as canonical UUID; false: 400 was sent and the call has ended. */
bool call_id(struct call *c, char out[UUID_TEXT]);
/* The JSON body, or NULL: 400 was sent and the call has ended. */
struct json_object *call_json(struct call *c);

/* ---- fields.c: members of a body; each false = call_error() was sent ---- */

bool field_str(struct call *c, struct json_object *o, const char *key, size_t max, bool required,
               const char **out);
bool field_bool(struct call *c, struct json_object *o, const char *key, bool *out);
/* "" when absent. */
bool field_uuid(struct call *c, struct json_object *o, const char *key, bool required,
                char out[UUID_TEXT]);
bool field_obj(struct call *c, struct json_object *o, const char *key, bool required,
               struct json_object **out);
/* A list of UUIDs, made canonical; NULL when absent or empty. */
bool field_uuids(struct call *c, struct json_object *o, const char *key, struct json_object **out);

/* ---- ids.c ---- */

/* A version 7 UUID: ordered by time, so rows of one time lie together in the ledger. */
void id_new(char out[UUID_TEXT]);
/* The smallest id of that time. */
void id_at(int64_t unix_us, char out[UUID_TEXT]);
int64_t now_us(void); /* Unix time */
/* The id of a user endpoint: from site, person and canonical configuration, nothing else. */
void id_uep(const char *endpoint, const char *sub, struct json_object *config, char out[UUID_TEXT]);

/* ---- rows that are looked up for each submit, cached ---- */

struct function {
    char id[UUID_TEXT], owner[UUID_TEXT];
    char group[UUID_TEXT], ha_endpoint[UUID_TEXT]; /* "" = none */
    bool is_public;
    struct json_object *members; /* of the group; NULL = none */
    char *prefix;                /* first part of a task buffer */
    size_t prefix_len;
    int refs;
};
struct endpoint {
    char id[UUID_TEXT], owner[UUID_TEXT];
    char policy[UUID_TEXT]; /* "" = none */
    bool is_template, multi_user, is_public, high_assurance;
    int64_t locked_until_s, registered_us;
    struct json_object *admins, *allowed; /* lists or NULL */
    struct json_object *access;           /* access_of_endpoint() */
    bool restricted;                      /* only those listed may submit */
    int refs;
};
struct group {
    char id[UUID_TEXT], owner[UUID_TEXT];
    bool stream; /* its queue was made */
    int refs;
};

/* In a job: 1 found (*out is new, one reference), 0 not, -1 error. */
int function_load(struct db *db, const char *id, struct function **out, struct err *err);
int function_load_any(struct db *db, const char *id, struct function **out,
                      struct err *err); /* also a deleted one */
int endpoint_load(struct db *db, const char *id, struct endpoint **out, struct err *err);
int group_load(struct db *db, const char *id, struct group **out, struct err *err);
void function_unref(struct function *f); /* NULL is fine */
void endpoint_unref(struct endpoint *e);
void group_unref(struct group *g);
enum access_role endpoint_role(const struct endpoint *e, const struct caller *who);
bool endpoint_may_use(const struct endpoint *e, const struct caller *who);
bool function_may_run(const struct function *f, const struct caller *who);

struct rowcache *rowcache_create(struct api *a);
void rowcache_destroy(struct rowcache *c);
/* A reference of the caller's, or NULL: not here or too old. */
struct function *rowcache_function(struct rowcache *c, const char *id);
struct endpoint *rowcache_endpoint(struct rowcache *c, const char *id);
struct group *rowcache_group(struct rowcache *c, const char *id);
/* Keeps a reference of its own. */
void rowcache_put_function(struct rowcache *c, struct function *f);
void rowcache_put_endpoint(struct rowcache *c, struct endpoint *e);
void rowcache_put_group(struct rowcache *c, struct group *g);
void rowcache_forget(struct rowcache *c, const char *id);

/* ---- open.c: tasks that are not finished, as the ledger counts them ---- */

struct open_row {
    char uep[UUID_TEXT], endpoint[UUID_TEXT], owner[UUID_TEXT];
    int64_t n;
    char *start; /* NULL = a legacy endpoint */
};
struct open_list {
    struct open_row *rows;
    size_t n;
};
/* In a job: those of one keeper; what the list held is freed. */
int open_list_read(struct db *db, int64_t keeper, struct open_list *l, struct err *err);
void open_list_clear(struct open_list *l);

/* ---- keeper.c: which process looks after which task ---- */

struct keeper *keeper_create(struct api *a, struct err *err);
void keeper_stop(struct keeper *k); /* others may take over */
void keeper_destroy(struct keeper *k);
int64_t keeper_id(const struct keeper *k);       /* of this process; 0 = it is the only one */
size_t keeper_processes(const struct keeper *k); /* on this ledger, at least 1 */
bool keeper_is_eldest(const struct keeper *k);   /* does what one is enough for */

/* ---- presence.c: who is there ---- */

struct presence *presence_create(struct api *a);
void presence_stop(struct presence *p); /* writes what it knows; nothing more comes */
void presence_destroy(struct presence *p);
void presence_message(struct presence *p, struct amqp_message *m /* taken */);
void presence_broker_up(struct presence *p);
bool presence_is_online(struct presence *p, const char *id);
/* The last global_state, or NULL; borrowed. */
struct json_object *presence_details(struct presence *p, const char *id);
void presence_forget(struct presence *p, const char *id);
size_t presence_count(struct presence *p);

/* ---- ueps.c: user endpoints, started when they are needed ---- */

struct uep;
struct ueps *ueps_create(struct api *a);
void ueps_stop(struct ueps *u); /* before the broker goes */
void ueps_destroy(struct ueps *u);
void ueps_broker_up(struct ueps *u);
/* What a start command needs; all borrowed. */
struct uep_start {
    const char *endpoint, *owner;
    struct json_object *config, *runtime; /* NULL = none */
    const struct caller *caller;
    const char *request_id;
    int64_t registered_us; /* of the endpoint */
};
/* NULL with an error when the id belongs to somebody else. */
struct uep *ueps_get(struct ueps *u, const char *id, const struct uep_start *start,
                     struct err *err);
/* A legacy endpoint, which takes its tasks itself. */
struct uep *ueps_get_legacy(struct ueps *u, const char *endpoint, const char *owner);
struct uep *ueps_find(struct ueps *u, const char *id);
/* status 0: it is up, or the ledger keeps its tasks until it is; else the HTTP error to send. */
typedef void uep_ready_f(void *arg, int status, const char *code, const char *text);
void uep_want(struct uep *u, uint64_t deadline_us, uep_ready_f *done, void *arg);
bool uep_is_up(const struct uep *u);
const char *uep_id(const struct uep *u);
/* The ledger has n more (or less) tasks that are not finished. */
void uep_open_add(struct uep *u, int64_t n);
int64_t uep_open(const struct uep *u);
/* The ledger's word on what is open; pump: some of it may be new to this process. */
void ueps_open_are(struct ueps *u, const struct open_list *list, bool pump);
/* What the ledger should know for later starts, when it differs from what it knows; caller frees.
 * After the commit: uep_saved(). */
char *uep_unsaved(const struct uep *u);
void uep_saved(struct uep *u, const char *text);
/* In a job. */
int uep_save(struct db *db, const char *id, const char *endpoint, const char *owner,
             const char *text, struct err *err);
/* From presence: a report came, it went, it could not start. */
void ueps_report(struct ueps *u, const char *id, bool online, bool was_online,
                 struct json_object *state);
/* The broker has no queue of it any more. */
void ueps_queue_missing(struct ueps *u, const char *id);
void ueps_error(struct ueps *u, const char *id, const char *text);
size_t ueps_count(const struct ueps *u);

/* ---- start_command.c ---- */

/* All borrowed. */
struct start_command {
    const char *endpoint, *uep, *owner, *username, *request_id, *password;
    struct json_object *config, *runtime, *identity_set; /* config, runtime: NULL = none */
};
void start_command_send(struct api *a, const struct start_command *s);

/* ---- outbox.c: from the ledger to the broker ---- */

struct task_out {
    char id[UUID_TEXT];
    char function[UUID_TEXT];
    const char *prefix; /* borrowed during the call */
    size_t prefix_len;
    const char *args;
    size_t args_len;
    const char *opts; /* JSON text {"resource_specification":…, "result_serializers":[…]}; NULL */
};
struct outbox *outbox_create(struct api *a);
void outbox_destroy(struct outbox *o);
/* Just committed tasks of a user endpoint: sent now if it is up and nothing waits before them. */
void outbox_accepted(struct outbox *o, struct uep *u, const struct task_out *tasks, size_t n);
/* Sends what the ledger holds for it. */
void outbox_pump(struct outbox *o, struct uep *u);
bool outbox_is_idle(const struct outbox *o);

/* ---- results.c ---- */

struct results *results_create(struct api *a);
void results_destroy(struct results *r);
void results_message(struct results *r, struct amqp_message *m /* taken */);
/* All unfinished tasks of a user endpoint fail with this sentence. */
void results_fail_all(struct results *r, const char *uep, const char *code, const char *text);
/* One task fails with this sentence. */
void results_fail_task(struct results *r, const char *uep, const char *task, const char *code,
                       const char *text);
bool results_is_idle(const struct results *r);

/* ---- maintenance.c ---- */

struct maintenance *maintenance_create(struct api *a);
void maintenance_stop(struct maintenance *m);
void maintenance_destroy(struct maintenance *m);
/* A user endpoint says that it has nothing to do while tasks of it are not finished. */
void maintenance_lost(struct maintenance *m, const char *uep);

/* ---- limits.c ---- */

struct limits *limits_create(struct api *a);
void limits_destroy(struct limits *l);
/* 0 = granted, else the seconds to wait. */
unsigned limits_take(struct limits *l, const char *sub, bool tasks, unsigned n);

/* ---- files.c: payloads and results too large for the ledger ---- */

struct files *files_create(const char *folder, struct err *err);
void files_destroy(struct files *f);
/* From any thread: stores the bytes, gives their name (SHA-256 in hex, 65 bytes with NUL). */
int files_put(struct files *f, const void *p, size_t n, char name[65], struct err *err);
int files_get(struct files *f, const char *name, struct buf *out, struct err *err);
#define FILES_FOLDERS 256
/* In a job: removes what no row names from one of the folders. */
int files_sweep(struct files *f, unsigned folder, struct db *db, struct err *err);

/* States of a task in the ledger. */
enum task_state { TASK_WAITING = 0, TASK_SENT = 1, TASK_SUCCEEDED = 2, TASK_FAILED = 3 };

/* Routes: one handler a route, named after it (routes.c). */
req_f on_version, on_function_register, on_function_get, on_function_delete, on_endpoint_register,
    on_endpoint_put, on_endpoint_lock, on_endpoint_list, on_endpoint_get, on_endpoint_status,
    on_endpoint_delete, on_endpoint_allowed, on_submit, on_submit_v2, on_task_get, on_batch_status,
    on_group_get, on_result_url, on_grant_keys, on_metrics, on_healthz, on_readyz, on_openapi;

#endif
