/* Providers: how batch jobs are requested, watched and cancelled (spec: engines.md section 6).
 *
 * Each kind is a table of functions.  Everything that runs a program is asynchronous on the loop
 * and has the provider's cmd_timeout; no answer, a slow answer or a failed status command is "no
 * update", never "the job has ended". */
#ifndef SALLYPORT_ENDPOINT_PROVIDER_H
#define SALLYPORT_ENDPOINT_PROVIDER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"

enum job_state {
    JOB_UNKNOWN,
    JOB_PENDING,
    JOB_RUNNING,
    JOB_HELD,
    JOB_CANCELLED,
    JOB_COMPLETED,
    JOB_FAILED,
    JOB_TIMEOUT,
    JOB_MISSING,
    JOB_SCALED_IN,
};
const char *job_state_name(enum job_state s);
bool job_state_is_final(enum job_state s);

/* An option of a provider's mapping. */
struct option_spec {
    const char *name;
    enum { OPT_TEXT, OPT_INT, OPT_NUMBER, OPT_BOOL, OPT_LIST, OPT_MAP, OPT_ANY, OPT_WALLTIME } kind;
    const char *otherwise; /* default as JSON text; NULL = null */
};

struct provider;

struct job {
    const char *id;
    enum job_state state;
    int exit_code;   /* -1 = not known */
    const char *out; /* paths of its outputs, or NULL */
    const char *err;
};

/* job_id NULL: it could not be submitted, why says the scheduler's words. */
typedef void submitted_f(void *arg, const char *job_id, const char *why);
/* jobs: those of the query that the answer says something of; NULL, 0 = no update. */
typedef void polled_f(void *arg, const struct job *jobs, size_t n);

struct provider_kind {
    const char *type;
    const char *launcher;              /* default */
    unsigned poll_s;                   /* interval of status queries */
    const struct option_spec *options; /* ends with name NULL; common ones are added */
    /* Things that the types of options can't say; NULL = nothing. */
    int (*check)(struct json_object *options, struct err *err);
    void *(*create)(struct provider *p); /* the kind's own state; NULL = none */
    void (*destroy)(void *own);
    void (*submit)(struct provider *p, const char *job_name, const char *script, submitted_f *cb,
                   void *arg);
    void (*poll)(struct provider *p, const char *const *ids, size_t n, polled_f *cb, void *arg);
    void (*cancel)(struct provider *p, const char *const *ids, size_t n);
};

struct provider {
    const struct provider_kind *kind;
    struct loop *loop;
    struct json_object *options; /* complete: with defaults */
    char *script_dir;            /* absolute */
    void *own;
    /* Set by whoever uses it: some job changed without being asked (local processes). */
    loop_f *changed;
    void *changed_arg;
};

/* 0, or a sentence that names the key or lists the known types.  options: the typed mapping. */
int provider_check(struct json_object *options, struct err *err);
struct provider *provider_create(struct loop *l, struct json_object *options, const char *dir,
                                 struct err *err);
void provider_destroy(struct provider *p); /* NULL is fine; answers under way are dropped */

const char *provider_text(const struct provider *p, const char *key); /* "" when null */
int64_t provider_int(const struct provider *p, const char *key);
double provider_number(const struct provider *p, const char *key);
bool provider_bool(const struct provider *p, const char *key);
bool provider_has(const struct provider *p, const char *key); /* not null */
/* Default of that kind for an integer option, without an instance. */
int64_t provider_default_int(struct json_object *options, const char *key);
/* Walltime in seconds; -1 with err when the text is none (engines.md 1.1). */
int64_t walltime_seconds(struct json_object *value, struct err *err);

extern const struct provider_kind provider_local, provider_slurm, provider_pbspro;

#endif
