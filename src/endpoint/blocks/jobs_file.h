/* <endpoint directory>/batch_jobs.json: the jobs that this endpoint has in a batch system, so that
 * the next process of the same endpoint can end what a killed one left behind.
 *
 * A job's name stands there before it is submitted and its id as soon as it is known; the entry
 * goes when the job has ended or the scheduler has accepted its cancellation.
 *   {"provider": "SlurmProvider", "options": {"clusters": "c1"}, "jobs": {"<name>": "<id or ''>"}}
 */
#ifndef SALLYPORT_ENDPOINT_JOBS_FILE_H
#define SALLYPORT_ENDPOINT_JOBS_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/json.h"

struct jobs_file;

/* Reads what is there; a damaged file is put aside with a warning.  sync: the jobs outlive this
 * host, so the file must outlive it too.  options: the provider's mapping, of which the few keys
 * that cancelling needs are kept. */
struct jobs_file *jobs_file_open(const char *dir, struct json_object *options, bool sync);
void jobs_file_close(struct jobs_file *f);

/* The mapping of the provider that the jobs found at the start belong to, or NULL when there were
 * none; the file's. */
struct json_object *jobs_file_old_provider(const struct jobs_file *f);
/* Those jobs: mapping of names to ids; the file's, never NULL. */
struct json_object *jobs_file_old_jobs(const struct jobs_file *f);
/* They are gone. */
void jobs_file_forget_old(struct jobs_file *f);

/* id "" = about to be submitted. */
void jobs_file_add(struct jobs_file *f, const char *name, const char *id);
void jobs_file_remove(struct jobs_file *f, const char *name);

#endif
