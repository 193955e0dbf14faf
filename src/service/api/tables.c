/* The ledger's tables.
 *
 * Task ids are ordered by time, so a table keyed by them grows at its end.  What is asked for at
 * each state change (open tasks of a user endpoint) has a partial index over unfinished tasks only:
 * ten million finished ones cost it nothing. */
#include "service/store/migrations.h"

#define COMMON                                                                                     \
    "CREATE TABLE functions("                                                                      \
    " id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, code TEXT NOT NULL,"           \
    " serialized BIGINT NOT NULL, description TEXT, meta TEXT, public BIGINT NOT NULL, grp TEXT,"  \
    " ha_endpoint TEXT, created_us BIGINT NOT NULL, deleted BIGINT NOT NULL DEFAULT 0);"           \
    "CREATE INDEX functions_owner ON functions(owner);"                                            \
    "CREATE TABLE endpoints("                                                                      \
    " id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, display_name TEXT,"            \
    " multi_user BIGINT NOT NULL, public BIGINT NOT NULL, high_assurance BIGINT NOT NULL,"         \
    " policy TEXT, subscription TEXT, admins TEXT, allowed TEXT, metadata TEXT NOT NULL,"          \
    " is_template BIGINT NOT NULL, address TEXT, locked_until_s BIGINT NOT NULL DEFAULT 0,"        \
    " created_us BIGINT NOT NULL, registered_us BIGINT NOT NULL,"                                  \
    " deleted BIGINT NOT NULL DEFAULT 0);"                                                         \
    "CREATE INDEX endpoints_owner ON endpoints(owner);"                                            \
    "CREATE TABLE ueps("                                                                           \
    " id TEXT PRIMARY KEY, endpoint TEXT NOT NULL, owner TEXT NOT NULL, start TEXT NOT NULL,"      \
    " created_us BIGINT NOT NULL, used_us BIGINT NOT NULL);"                                       \
    "CREATE INDEX ueps_endpoint ON ueps(endpoint);"                                                \
    "CREATE INDEX ueps_owner ON ueps(owner);"                                                      \
    "CREATE TABLE presence("                                                                       \
    " id TEXT PRIMARY KEY, seen_us BIGINT NOT NULL, period DOUBLE PRECISION NOT NULL,"             \
    " active BIGINT NOT NULL, details TEXT);"                                                      \
    "CREATE TABLE task_groups("                                                                    \
    " id TEXT PRIMARY KEY, owner TEXT NOT NULL, stream BIGINT NOT NULL,"                           \
    " created_us BIGINT NOT NULL);"                                                                \
    "CREATE INDEX task_groups_owner ON task_groups(owner, created_us);"

#define TASKS                                                                                      \
    "CREATE TABLE tasks("                                                                          \
    " id TEXT PRIMARY KEY, grp TEXT NOT NULL, owner TEXT NOT NULL, endpoint TEXT NOT NULL,"        \
    " uep TEXT NOT NULL, function TEXT NOT NULL, state BIGINT NOT NULL, stream BIGINT NOT NULL,"   \
    " tries BIGINT NOT NULL DEFAULT 0, created_us BIGINT NOT NULL, sent_us BIGINT,"                \
    " done_us BIGINT, opts TEXT)"
#define TASKS_INDEXES                                                                              \
    ";CREATE INDEX tasks_group ON tasks(grp, id);"                                                 \
    "CREATE INDEX tasks_open ON tasks(uep, state, id) WHERE state < 2;"
#define BODIES "CREATE TABLE payloads(task TEXT PRIMARY KEY, args BYTEA, file TEXT)"
#define RESULTS                                                                                    \
    ";CREATE TABLE results("                                                                       \
    " task TEXT PRIMARY KEY, body BYTEA, file TEXT)"

const struct migration api_migrations[] = {
    {"api-1", COMMON TASKS " WITHOUT ROWID" TASKS_INDEXES BODIES " WITHOUT ROWID" RESULTS,
     COMMON TASKS TASKS_INDEXES BODIES RESULTS},
    {"access-1",
     "CREATE TABLE user_groups("
     " id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_us BIGINT NOT NULL);"
     "CREATE TABLE group_members("
     " grp TEXT NOT NULL, identity TEXT NOT NULL, PRIMARY KEY(grp, identity));"
     "CREATE TABLE endpoint_access("
     " endpoint TEXT NOT NULL, who TEXT NOT NULL, role BIGINT NOT NULL,"
     " PRIMARY KEY(endpoint, who));",
     NULL},
    {"files-1",
     "CREATE INDEX payloads_file ON payloads(file) WHERE file IS NOT NULL;"
     "CREATE INDEX results_file ON results(file) WHERE file IS NOT NULL;",
     NULL},
    {0},
};
