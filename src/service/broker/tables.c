/* What the broker's side keeps in the ledger, and who shares it. */
#include "service/store/migrations.h"

const struct migration broker_migrations[] = {
    {"broker-1",
     "CREATE TABLE principals("
     " name TEXT PRIMARY KEY,"
     " generation BIGINT NOT NULL,"
     " oldest BIGINT NOT NULL,"
     " since_s BIGINT NOT NULL)",
     NULL},
    /* Several service processes on one ledger: each open task has one that looks after it
     * (api/keeper.c). */
    {"processes-1",
     "CREATE TABLE processes("
     " id BIGINT PRIMARY KEY, place TEXT NOT NULL, seen_us BIGINT NOT NULL);"
     "ALTER TABLE tasks ADD COLUMN keeper BIGINT NOT NULL DEFAULT 0",
     NULL},
    {0},
};
