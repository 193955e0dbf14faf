/* The tasks that are not finished, counted by user endpoint, as the ledger has them. */
#include <string.h>

#include "service/api/private.h"

void open_list_clear(struct open_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->rows[i].start);
    free(l->rows);
    *l = (struct open_list){0};
}

static void add(struct open_list *l, struct db_rows *r)
{
    bool legacy = db_is_null(r, 2);
    if ((l->n & (l->n + 1)) == 0) /* full at 1, 3, 7, ... */
        l->rows = xrealloc(l->rows, (2 * l->n + 1) * sizeof(*l->rows));
    struct open_row *row = &l->rows[l->n++];
    *row = (struct open_row){.n = db_int(r, 1), .start = legacy ? NULL : xstrdup(db_text(r, 4))};
    strncpy(row->uep, db_text(r, 0), UUID_TEXT - 1);
    strncpy(row->endpoint, db_text(r, legacy ? 5 : 2), UUID_TEXT - 1);
    strncpy(row->owner, db_text(r, legacy ? 6 : 3), UUID_TEXT - 1);
}

int open_list_read(struct db *db, int64_t keeper, struct open_list *l, struct err *err)
{
    struct db_rows *r =
        db_query(db, err,
                 "SELECT o.uep, o.n, u.endpoint, u.owner, u.start, o.endpoint, o.owner FROM "
                 "(SELECT uep, MIN(endpoint) AS endpoint, MIN(owner) AS owner, COUNT(*) AS n "
                 "FROM tasks WHERE state < 2 AND keeper = ? GROUP BY uep) o "
                 "LEFT JOIN ueps u ON u.id = o.uep",
                 "i", keeper);
    int rc;
    open_list_clear(l);
    if (!r)
        return -1;
    while ((rc = db_next(r, err)) == 1)
        add(l, r);
    db_rows_end(r);
    return rc;
}
