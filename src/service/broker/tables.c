/* What the broker's side keeps in the ledger. */
#include "service/store/migrations.h"

const struct migration broker_migrations[] = {
    {"broker-1",
     "CREATE TABLE principals("
     " name TEXT PRIMARY KEY,"
     " generation BIGINT NOT NULL,"
     " oldest BIGINT NOT NULL,"
     " since_s BIGINT NOT NULL)",
     NULL},
    {0},
};
