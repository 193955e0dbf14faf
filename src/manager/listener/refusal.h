/* A start that did not succeed: what the log says and what the requester is told.
 *
 * The monitor answers with a code and texts; the sentences are those of endpoint-manager.md 6, 8
 * and 9.  Paths of the administrator never reach a user. */
#ifndef SALLYPORT_LISTENER_REFUSAL_H
#define SALLYPORT_LISTENER_REFUSAL_H

#include "manager/listener/command.h"
#include "manager/table.h"

/* m: a FAILED; account: the local user name that was asked for. */
void refusal_explain(const struct table_message *m, const struct command *c, const char *account,
                     struct command_fault *fault);
/* Rows 4, 5 and 6: nobody of ours, nobody mapped, no such account. */
void refusal_untrusted(const struct command *c, struct command_fault *fault);
void refusal_unmapped(const struct command *c, struct command_fault *fault);
void refusal_no_account(const struct command *c, const char *account, struct command_fault *fault);
/* The queue is full. */
void refusal_busy(bool for_this_user, struct command_fault *fault);

/* Names a folder of ours whose paths are cut to their last part in what users read; copied. */
void refusal_hide(const char *folder);
/* Appends text without such paths. */
void refusal_clean(const char *text, struct buf *out);

#endif
