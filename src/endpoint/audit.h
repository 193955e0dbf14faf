/* Audit records of high assurance endpoints: one packet each on the manager's pipe
 * (spec: user-endpoint.md section 13). */
#ifndef SALLYPORT_ENDPOINT_AUDIT_H
#define SALLYPORT_ENDPOINT_AUDIT_H

/* block, job, message may be NULL.  0, or -1 when the record could not be written: the endpoint
 * must not go on. */
int audit_write(int fd, const char *function_id, const char *task_id, const char *block,
                const char *job, const char *state, const char *message);

#endif
