/* Endpoints, the user endpoints that they started, and who runs what as whom. */
#include <string.h>

#include "lib/base/map.h"
#include "service/web/private.h"

#define ROWS_MAX 2000
#define TASKS_SHOWN 20

/* One shape for both kinds, so that one function reads both.  A manager's endpoint has tasks only
 * as the sum of its user endpoints'. */
#define COLUMNS_ENDPOINT                                                                           \
    "e.id, COALESCE(e.display_name, e.name), e.owner, " OWNER_NAME ", NULL, p.seen_us, p.period, " \
    "p.active, p.details, e.metadata, e.registered_us, e.is_template, e.multi_user, "              \
    "e.locked_until_s FROM endpoints e LEFT JOIN auth_identities i ON i.id = e.owner LEFT JOIN "   \
    "presence p ON p.id = e.id WHERE e.deleted = 0"
#define COLUMNS_UEP                                                                                \
    "u.id, COALESCE(e.display_name, e.name), u.owner, " OWNER_NAME ", u.endpoint, p.seen_us, "     \
    "p.period, p.active, p.details, u.start, u.used_us, 0, 0, 0 FROM ueps u JOIN endpoints e ON "  \
    "e.id = u.endpoint LEFT JOIN auth_identities i ON i.id = u.owner LEFT JOIN presence p ON "     \
    "p.id = u.id WHERE e.deleted = 0"

static void copy(struct json_object *to, const char *key, struct json_object *from,
                 const char *name)
{
    struct json_object *value = json_at(from, name);
    if (value != NULL)
        json_add(to, key, json_object_get(value));
}

/* What the last heartbeat told. */
static void add_details(struct json_object *o, const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    autojson struct json_object *d = json_read(text, strlen(text), 1u << 20, "details", NULL);
    static const char *const same[] = {"total_workers", "idle_workers", "managers",
                                       "pending_tasks", "engine_type",  "provider_type",
                                       "queue",         "account",      "start_unix"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        copy(o, same[i], d, same[i]);
    copy(o, "local_user", d, "posix_username");
    copy(o, "last_error", d, "error");
}

static struct json_object *make(struct db_rows *rows)
{
    struct json_object *o = json_object_new_object();
    const char *parent = db_text(rows, 4), *document = db_text(rows, 9);
    autojson struct json_object *d =
        document == NULL ? NULL : json_read(document, strlen(document), 8u << 20, "document", NULL);
    json_add_str(o, "id", db_text(rows, 0));
    json_add_str(o, "name", db_text(rows, 1));
    json_add_str(o, "owner_id", db_text(rows, 2));
    json_add_str(o, "owner", db_is_null(rows, 3) ? db_text(rows, 2) : db_text(rows, 3));
    json_add_str(o, "parent", parent);
    json_add_str(o, "kind",
                 parent != NULL     ? "user endpoint"
                 : db_int(rows, 12) ? "multi-user endpoint"
                 : db_int(rows, 11) ? "endpoint of one account"
                                    : "single-user endpoint");
    bool online = look_is_online(rows, 5, 6, 7);
    json_add_str(o, "status", online ? "online" : parent != NULL ? "stopped" : "offline");
    json_add_double(o, "last_seen", look_seconds(rows, 5));
    json_add_double(o, "since", look_seconds(rows, 10));
    if (db_int(rows, 13) != 0)
        json_add_int(o, "locked_until", db_int(rows, 13));
    if (parent == NULL) {
        copy(o, "hostname", d, "hostname");
        copy(o, "version", d, "endpoint_version");
        copy(o, "local_user", d, "local_user");
    } else {
        copy(o, "user_endpoint_config", d, "config");
        copy(o, "python_version", d, "runtime.python_version");
    }
    add_details(o, db_text(rows, 8));
    return o;
}

/* ---- tasks that are not finished, by user endpoint --------------------------------------------
 */

struct counts {
    int64_t waiting, running;
};

static struct map *count_open(struct db *db, struct err *err)
{
    struct db_rows *rows = db_query(
        db, err, "SELECT uep, state, COUNT(*) FROM tasks WHERE state < 2 GROUP BY uep, state", "");
    if (rows == NULL)
        return NULL;
    struct map *m = map_create();
    int rc;
    while ((rc = db_next(rows, err)) == 1) {
        struct counts *c = map_get(m, db_text(rows, 0));
        if (c == NULL) {
            c = xcalloc(1, sizeof *c);
            map_put(m, db_text(rows, 0), c);
        }
        *(db_int(rows, 1) == 0 ? &c->waiting : &c->running) += db_int(rows, 2);
    }
    db_rows_end(rows);
    if (rc == 0)
        return m;
    map_destroy(m, free);
    return NULL;
}

static void add_counts(struct json_object *list, const struct map *open)
{
    size_t n = json_object_array_length(list);
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        const struct counts *c = map_get(open, json_str_or(o, "id", ""));
        json_add_int(o, "waiting", c == NULL ? 0 : c->waiting);
        json_add_int(o, "running", c == NULL ? 0 : c->running);
    }
}

/* Parents show the sum of their own. */
static void add_up(struct json_object *list)
{
    size_t n = json_object_array_length(list);
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        const char *id = json_str_or(o, "id", "");
        int64_t waiting = json_object_get_int64(json_at(o, "waiting"));
        int64_t running = json_object_get_int64(json_at(o, "running"));
        if (json_str_or(o, "parent", NULL) != NULL)
            continue;
        for (size_t k = 0; k < n; k++) {
            struct json_object *child = json_object_array_get_idx(list, k);
            if (strcmp(json_str_or(child, "parent", ""), id) != 0)
                continue;
            waiting += json_object_get_int64(json_at(child, "waiting"));
            running += json_object_get_int64(json_at(child, "running"));
        }
        json_add_int(o, "waiting", waiting);
        json_add_int(o, "running", running);
    }
}

static void append(struct json_object *to, struct json_object *from)
{
    size_t n = json_object_array_length(from);
    for (size_t i = 0; i < n; i++)
        json_object_array_add(to, json_object_get(json_object_array_get_idx(from, i)));
}

/* endpoints (and their user endpoints) that fit `where`, which is ours; NULL with err. */
static struct json_object *find(struct db *db, const char *endpoints, const char *ueps,
                                struct err *err)
{
    struct map *open = count_open(db, err);
    if (open == NULL)
        return NULL;
    struct json_object *list = NULL, *more = NULL;
    autofree char *first =
        xasprintf("SELECT " COLUMNS_ENDPOINT " AND %s ORDER BY e.created_us DESC "
                  "LIMIT %d",
                  endpoints, ROWS_MAX);
    autofree char *second = xasprintf("SELECT " COLUMNS_UEP " AND %s ORDER BY u.used_us DESC LIMIT "
                                      "%d",
                                      ueps, ROWS_MAX);
    list = db_list(db_query(db, err, first, ""), make, err);
    if (list != NULL)
        more = db_list(db_query(db, err, second, ""), make, err);
    if (more == NULL) {
        json_object_put(list);
        list = NULL;
    } else {
        append(list, more);
        add_counts(list, open);
        add_up(list);
    }
    json_object_put(more);
    map_destroy(open, free);
    return list;
}

/* ---- the list -------------------------------------------------------------------------------- */

static int list_job(struct look *l, struct db *db, struct err *err)
{
    const char *mine = l->mine.data;
    /* The owner's, and of those with a role of view or more (service/api/access.h). */
    autofree char *endpoints =
        xasprintf("(e.owner IN (%s) OR e.id IN (SELECT a.endpoint FROM endpoint_access a LEFT JOIN "
                  "group_members m ON m.grp = a.who WHERE a.role >= 2 AND (a.who IN (%s) OR "
                  "m.identity IN (%s))))",
                  mine, mine, mine);
    /* They see who runs on the endpoint; others see their own user endpoints. */
    autofree char *ueps = xasprintf("(u.owner IN (%s) OR %s)", mine, endpoints);
    struct json_object *list = find(db, l->all ? "1 = 1" : endpoints, l->all ? "1 = 1" : ueps, err);
    if (list == NULL)
        return -1;
    int64_t online = 0, waiting = 0, running = 0;
    size_t n = json_object_array_length(list);
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        bool child = json_str_or(o, "parent", NULL) != NULL;
        online += strcmp(json_str_or(o, "status", ""), "online") == 0;
        if (child || strcmp(json_str_or(o, "kind", ""), "single-user endpoint") == 0) {
            waiting += json_object_get_int64(json_at(o, "waiting"));
            running += json_object_get_int64(json_at(o, "running"));
        }
    }
    struct json_object *totals = json_object_new_object();
    json_add_int(totals, "online", online);
    json_add_int(totals, "known", (int64_t)n);
    json_add_int(totals, "waiting", waiting);
    json_add_int(totals, "running", running);
    l->out = json_object_new_object();
    json_add(l->out, "endpoints", list);
    json_add(l->out, "totals", totals);
    return 0;
}

void web_endpoints(struct req *r)
{
    look_begin(r, list_job, look_reply);
}

/* ---- one of them ----------------------------------------------------------------------------- */

static int one_job(struct look *l, struct db *db, struct err *err)
{
    autofree char *own = xasprintf("e.id = '%s'", l->id);
    autofree char *ueps = xasprintf("(u.id = '%s' OR u.endpoint = '%s')", l->id, l->id);
    autojson struct json_object *list = find(db, own, ueps, err);
    if (list == NULL)
        return -1;
    struct json_object *found = NULL, *children = json_object_new_array();
    size_t n = json_object_array_length(list);
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        if (strcmp(json_str_or(o, "id", ""), l->id) == 0)
            found = o;
    }
    bool owner = found != NULL && look_may_see(l, json_str_or(found, "owner_id", NULL));
    bool any = owner;
    for (size_t i = 0; found != NULL && i < n; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        if (o == found || !(owner || look_may_see(l, json_str_or(o, "owner_id", NULL))))
            continue;
        any = true; /* somebody who runs on it may see that it is there */
        json_object_array_add(children, json_object_get(o));
    }
    if (!any) {
        json_object_put(children);
        return 0;
    }
    l->out = json_object_get(found);
    if (json_object_array_length(children) > 0)
        json_add(l->out, "children", children);
    else
        json_object_put(children);
    struct json_object *tasks = tasks_newest(l, db, l->id, -1, "", TASKS_SHOWN, err);
    if (tasks == NULL)
        return -1;
    json_add(l->out, "tasks", tasks);
    return 0;
}

static void with_depth(void *arg, int64_t messages, int64_t consumers)
{
    struct look *l = arg;
    if (messages >= 0)
        json_add_int(l->out, "queue_depth", messages);
    if (consumers >= 0)
        json_add_int(l->out, "queue_consumers", consumers);
    look_reply(l);
}

static void one_then(struct look *l)
{
    const struct web_opts *o = &l->web->opts;
    if (l->out != NULL && o->depth != NULL)
        o->depth(o->depth_arg, l->id, with_depth, l);
    else
        look_reply(l);
}

void web_endpoint(struct req *r)
{
    look_begin(r, one_job, one_then);
}

/* ---- who runs what as whom --------------------------------------------------------------------
 */

static int people_job(struct look *l, struct db *db, struct err *err)
{
    if (!l->all)
        return 0; /* administrators only: for others there is no such page */
    struct json_object *list = find(db, "1 = 0", "1 = 1", err);
    if (list == NULL)
        return -1;
    l->out = json_object_new_object();
    json_add(l->out, "people", list);
    return 0;
}

void web_people(struct req *r)
{
    look_begin(r, people_job, look_reply);
}
