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
    enum {
        OPT_TEXT,  /* one line */
        OPT_LINES, /* any number of lines */
        OPT_INT,
        OPT_NUMBER,
        OPT_BOOL,
        OPT_LIST,     /* of texts */
        OPT_MAP,      /* of texts */
        OPT_ANY,      /* used as text where it is used at all */
        OPT_WALLTIME, /* read by us: walltime_seconds() */
        OPT_DURATION, /* the scheduler reads it: seconds or its own spelling */
    } kind;
    const char *otherwise; /* default as JSON text; NULL = null */
};

struct provider;

struct job {
    const char *id;
    enum job_state state;
    int exit_code;    /* -1 = not known */
    const char *note; /* what the scheduler says of it, or NULL */
};

struct submitted {
    const char *job_id; /* NULL: it could not be submitted, ... */
    const char *why;    /* ... and these are the scheduler's words */
    bool maybe;         /* without an id, yet it may be in the queue (time-out, odd answer) */
};

/* A job of an earlier process of this endpoint. */
struct old_job {
    const char *name, *id; /* id "": not known */
};

/* These are called once, some time later or before the function that takes them returns. */
typedef void submitted_f(void *arg, const struct submitted *s);
/* jobs: those of the query that the answer says something of; NULL, 0 = no update. */
typedef void polled_f(void *arg, const struct job *jobs, size_t n);
/* gone: they have ended or are about to; false = the scheduler did not obey. */
typedef void cancelled_f(void *arg, bool gone);

struct batch_kind;

struct submission_preview {
    struct buf path, script;        /* the file that is submitted */
    struct buf second_path, second; /* and one beside it; empty = none */
    struct buf command;             /* what submits it */
};

void submission_preview_clear(struct submission_preview *s);

/* What is done with jobs. */
struct provider_work {
    void *(*create)(struct provider *p); /* the kind's own state; NULL = none */
    void (*destroy)(struct provider *p);
    /* What submit() would write and run, without doing either. */
    void (*preview)(struct provider *p, const char *job_name, const char *script,
                    struct submission_preview *out);
    void (*submit)(struct provider *p, const char *job_name, const char *script, submitted_f *cb,
                   void *arg);
    void (*poll)(struct provider *p, const char *const *ids, size_t n, polled_f *cb, void *arg);
    void (*cancel)(struct provider *p, const char *const *ids, size_t n, cancelled_f *cb,
                   void *arg);
    /* Cancels what still runs of them, and nothing that has another name. */
    void (*cancel_old)(struct provider *p, const struct old_job *jobs, size_t n, cancelled_f *cb,
                       void *arg);
};

struct provider_kind {
    const char *type;
    const char *launcher;              /* default; NULL = it has none, and no such option */
    unsigned poll_s;                   /* interval of status queries */
    const struct option_spec *options; /* ends with name NULL; common ones are added */
    bool loose;                        /* the original takes values of any type */
    bool far;                          /* jobs outlive this host */
    const char *name_prefix;           /* in front of job names, NULL = nothing */
    const char *script, *out, *err;    /* files of a job: <script_dir>/<job name><suffix> */
    const struct batch_kind *batch;    /* of those that batch.c serves */
    /* Things that the types of options can't say; NULL = nothing. */
    int (*check)(struct json_object *options, struct err *err);
    /* Options that follow from others are filled in; NULL = none. */
    void (*derive)(struct json_object *options);
    const struct provider_work *work; /* NULL = a name that we only know */
};

struct command_queue;

struct provider {
    const struct provider_kind *kind;
    struct loop *loop;
    struct json_object *options; /* complete: with defaults */
    char *script_dir;            /* absolute */
    const char *label;           /* executor's name in messages; its owner's */
    uint64_t poll_us;            /* interval of status queries */
    void *own;
    struct command_queue *commands;
    /* Set by whoever uses it: some job changed without being asked (local processes). */
    loop_f *changed;
    void *changed_arg;
};

/* 0, or a sentence that names the key or lists the known types.  options: the typed mapping. */
int provider_check(struct json_object *options, struct err *err);
struct provider *provider_create(struct loop *l, struct json_object *options, const char *dir,
                                 struct err *err);
/* The same without a folder for scripts: fit for preview() only. */
struct provider *provider_open(struct loop *l, struct json_object *options, const char *dir,
                               struct err *err);
/* NULL is fine; answers under way are dropped, their callbacks are not called. */
void provider_destroy(struct provider *p);

const char *provider_text(const struct provider *p, const char *key); /* "" when null */
int64_t provider_int(const struct provider *p, const char *key);
double provider_number(const struct provider *p, const char *key);
bool provider_bool(const struct provider *p, const char *key);
bool provider_has(const struct provider *p, const char *key); /* not null */
/* An integer option with that provider's default, without an instance; 0 when it has none. */
int64_t provider_default_int(struct json_object *options, const char *key);

/* Walltime in seconds; -1 with err when it is none (engines.md 1.1). */
int64_t walltime_seconds(struct json_object *value, struct err *err);
/* The same in minutes, rounded up, at least 1. */
int64_t walltime_minutes(struct json_object *value);

extern const struct provider_kind provider_local, provider_slurm, provider_pbspro, provider_torque,
    provider_grid_engine, provider_lsf, provider_condor, provider_cobalt, provider_kubernetes,
    provider_aws, provider_google_cloud, provider_azure;

/* Unit tests put a kind of their own here; it is found by its type. */
extern const struct provider_kind *provider_pretend;

#endif
