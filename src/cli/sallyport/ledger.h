/* The service's ledger, opened by a command: before the service runs or beside it.
 *
 * Run by root, a command takes on the account that owns the folder first, so that no file in it
 * ends up belonging to root. */
#ifndef SALLYPORT_CLI_LEDGER_H
#define SALLYPORT_CLI_LEDGER_H

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/cli/cli.h"
#include "service/store/store.h"

struct ledger;

#define OPTION_STORE                                                                               \
    {                                                                                              \
        "--store", 0, OPTION_TEXT, "URL", "The ledger, if not the one of DIR/service.yaml"         \
    }

/* Settings of DIR/service.yaml: NULL with err->text "" when there is no such file. */
struct json_object *settings_read(const char *data_dir, struct err *err);
/* Root takes on the account that owns the folder; others stay who they are. */
int become_owner(const char *dir, struct err *err);
const char *ledger_domain(const struct ledger *l); /* behind bare user names */

/* open, do, close; prints "Error: ..." and returns the exit code. */
int ledger_run(const struct args *a, store_job_f *job, void *arg,
               void (*prepare)(void *arg, struct ledger *l));

#endif
