/* What PBS Pro and Torque share. */
#ifndef SALLYPORT_ENDPOINT_PBS_H
#define SALLYPORT_ENDPOINT_PBS_H

#include "endpoint/providers/batch.h"

void pbs_submit_command(struct buf *out, struct provider *p, const struct batch_job *j);
bool pbs_read_id(struct provider *p, const char *answer, struct buf *id);
enum job_state pbs_state(const char *word, size_t n);
/* The table of a plain qstat: id in the first column, state in the last but one. */
void pbs_read_table(const char *text, struct asked *asked);
/* "qstat: Unknown Job Id 7.pbs", "qstat: 7.pbs Job has finished, ...". */
void pbs_read_gone(const char *text, struct asked *asked);
void pbs_cancel_command(struct buf *out, struct provider *p, const char *const *ids, size_t n);
void pbs_cancel_old_command(struct buf *out, struct provider *p, const struct old_job *j);

#endif
