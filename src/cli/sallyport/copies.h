/* What `backup` writes and `restore` reads: a folder with
 *     ledger.db             a copy that SQLite made, whole and checked
 *     payloads/ab/cdef...   as in the service's folder; each is named by the hash of its bytes
 *     broker.key, auth-key.pem, service.yaml, ...   the small files of the service's folder
 *     backup.json           {format, made, version, files: {name: sha256}}
 * backup.json is written last: a folder without it is no backup. */
#ifndef SALLYPORT_CLI_COPIES_H
#define SALLYPORT_CLI_COPIES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/json.h"

#define COPIES_FORMAT 1
#define COPIES_LIST "backup.json"
#define COPIES_LEDGER "ledger.db"
#define COPIES_PAYLOADS "payloads"

#define HASH_TEXT 65

/* Copies a regular file (never through a link) to a new one, mode 0600; hash: of its bytes, or
 * NULL.
 */
int copy_file(const char *from, const char *to, char hash[HASH_TEXT], struct err *err);
int hash_file(const char *path, char hash[HASH_TEXT], struct err *err);
/* What belongs to a backup of the files at the top of the service's folder, ledger excepted. */
bool is_small_file(const char *name);

/* Calls take for each payload with its path below the folder ("ab/cdef...") and its name by hash,
 * in no order.  An absent folder has none. */
typedef int payload_f(void *arg, const char *below, const char *hash, struct err *err);
int payloads_each(const char *folder, payload_f *take, void *arg, struct err *err);

/* SQLite's own check of a file that nobody else has open. */
int ledger_check(const char *path, struct err *err);

#endif
