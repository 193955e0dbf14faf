/* POST /v3/endpoints/<id>/submit (web-service.md 5 and 6).
 *
 *   read ──▶ looked up ──▶ checked ──▶ policy ──▶ user endpoint is up ──▶ ledger ──▶ answer
 *                                                                          └──▶ outbox, broker
 *
 * All of a request is accepted or nothing.  Nothing here waits but for the user endpoint's start,
 * and only the request that needs it; once the ledger has the tasks the answer is 200, whatever
 * happens to the broker. */
#include "service/api/submit.h"

#include <string.h>

/* A little less than the route's deadline, after which the server answers by itself. */
#define ACCEPT_S 53

static void stream_ready(struct call *c);
static void endpoint_ready(struct call *c);

void submit_free(void *arg)
{
    struct submit *s = arg;
    for (size_t i = 0; i < s->n_functions; i++)
        function_unref(s->functions[i].row);
    free(s->functions);
    free(s->tasks);
    endpoint_unref(s->endpoint);
    group_unref(s->group);
    free(s->opts);
    free(s->uep_text);
    free(s);
}

/* ---- looking up ---- */

static int load_job(struct db *db, void *arg, struct err *err)
{
    struct call *c = arg;
    struct submit *s = c->state;
    if (!s->endpoint && endpoint_load(db, s->endpoint_id, &s->endpoint, err) < 0)
        return -1;
    for (size_t i = 0; i < s->n_functions; i++)
        if (!s->functions[i].row &&
            function_load(db, s->functions[i].id, &s->functions[i].row, err) < 0)
            return -1;
    if (s->group_id[0] && !s->group && group_load(db, s->group_id, &s->group, err) < 0)
        return -1;
    return 0;
}

static void check(struct call *c);

static void loaded(struct call *c)
{
    struct submit *s = c->state;
    struct rowcache *cache = c->api->cache;
    if (s->endpoint)
        rowcache_put_endpoint(cache, s->endpoint);
    for (size_t i = 0; i < s->n_functions; i++)
        if (s->functions[i].row)
            rowcache_put_function(cache, s->functions[i].row);
    /* Another request may have made the group's queue meanwhile: its copy knows. */
    struct group *known = s->group ? rowcache_group(cache, s->group->id) : NULL;
    if (known) {
        group_unref(s->group);
        s->group = known;
    } else if (s->group) {
        rowcache_put_group(cache, s->group);
    }
    check(c);
}

static void look_up(struct call *c)
{
    struct submit *s = c->state;
    struct rowcache *cache = c->api->cache;
    bool complete = true;
    s->endpoint = rowcache_endpoint(cache, s->endpoint_id);
    for (size_t i = 0; i < s->n_functions; i++) {
        s->functions[i].row = rowcache_function(cache, s->functions[i].id);
        complete &= s->functions[i].row != NULL;
    }
    if (s->group_id[0])
        s->group = rowcache_group(cache, s->group_id);
    complete &= s->endpoint && (!s->group_id[0] || s->group);
    if (complete)
        check(c);
    else
        call_job(c, false, load_job, loaded);
}

/* ---- checking ---- */

static bool is_allowed(const struct endpoint *e, const char *function)
{
    size_t n = e->allowed ? json_object_array_length(e->allowed) : 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(e->allowed, i)), function) == 0)
            return true;
    return n == 0;
}

static bool check_functions(struct call *c, struct submit *s)
{
    for (size_t i = 0; i < s->n_functions; i++) {
        const char *id = s->functions[i].id;
        if (!s->functions[i].row)
            call_error(c, 404, "FUNCTION_NOT_FOUND", "Function %s is not known", id);
        else if (!function_may_run(s->functions[i].row, &c->caller))
            call_error(c, 403, "FUNCTION_ACCESS_FORBIDDEN",
                       "Function %s is neither yours nor public", id);
        else if (s->functions[i].row->ha_endpoint[0] &&
                 strcmp(s->functions[i].row->ha_endpoint, s->endpoint_id) != 0)
            call_error(c, 403, "FUNCTION_NOT_PERMITTED",
                       "Function %s runs on its high-assurance endpoint only", id);
        else if (!is_allowed(s->endpoint, id))
            call_error(c, 403, "FUNCTION_NOT_PERMITTED", "Function %s not permitted on endpoint %s",
                       id, s->endpoint_id);
        else
            continue;
        return false;
    }
    return true;
}

static bool check_endpoint(struct call *c, struct submit *s)
{
    if (!s->endpoint)
        call_error(c, 404, "ENDPOINT_NOT_FOUND", "Endpoint %s is not known", s->endpoint_id);
    else if (s->endpoint->locked_until_s > now_us() / 1000000)
        call_error(c, 423, "RESOURCE_LOCKED", "Endpoint %s is locked", s->endpoint_id);
    else if (!s->endpoint->multi_user && endpoint_role(s->endpoint, &c->caller) < ACCESS_CONFIGURE)
        call_error(c, 403, "ENDPOINT_ACCESS_FORBIDDEN",
                   "Endpoint %s serves its owner only: it maps no identities", s->endpoint_id);
    else if (!endpoint_may_use(s->endpoint, &c->caller))
        call_error(c, 403, "ENDPOINT_ACCESS_FORBIDDEN",
                   "Endpoint %s serves certain people only, and you are not among them",
                   s->endpoint_id);
    else
        return true;
    return false;
}

static void policy_passed(struct call *c);

static void policy_done(void *arg, int rc, struct json_object *parameters)
{
    struct call *c = arg;
    struct submit *s = c->state;
    if (rc == 0) {
        policy_passed(c);
        return;
    }
    struct json_object *o = json_object_new_object();
    json_add_str(o, "code", "AUTHENTICATION_POLICY_NOT_MET");
    json_add_str(o, "message", "The endpoint's authentication policy asks for another sign-in");
    json_add_str(o, "request_id", req_id(c->req));
    json_add(o, "authorization_parameters", parameters ? parameters : json_object_new_object());
    log_info("request=%s event=policy endpoint=%s user=%s refused", req_id(c->req), s->endpoint_id,
             c->caller.username);
    call_reply(c, 403, o);
}

static void check(struct call *c)
{
    struct submit *s = c->state;
    if (!check_endpoint(c, s) || !check_functions(c, s))
        return;
    if (s->group_id[0] && !s->group) {
        call_error(c, 404, "TASK_GROUP_NOT_FOUND", "Task group %s is not known", s->group_id);
        return;
    }
    if (s->group && !caller_is(&c->caller, s->group->owner)) {
        call_error(c, 403, "TASK_GROUP_ACCESS_FORBIDDEN", "Task group %s is not yours",
                   s->group_id);
        return;
    }
    unsigned wait = limits_take(c->api->limits, c->caller.sub, true, (unsigned)s->n_tasks);
    if (wait) {
        call_limited(c, "tasks", wait);
        return;
    }
    if (!s->endpoint->policy[0]) {
        policy_passed(c);
        return;
    }
    struct auth_who who = {.username = c->caller.username,
                           .identity_set = c->caller.identity_set,
                           .session = c->caller.session,
                           .is_admin = c->caller.is_admin};
    strcpy(who.sub, c->caller.sub);
    auth_policy(c->api->auth, s->endpoint->policy, &who, policy_done, c);
}

/* ---- the user endpoint ---- */

static void uep_done(void *arg, int status, const char *code, const char *text)
{
    struct call *c = arg;
    if (req_is_over(c->req)) {
        /* Nobody would learn of its tasks: nothing is accepted. */
        log_info("request=%s event=client-gone", req_id(c->req));
        reply_error(c->req, 503, "CLIENT_GONE", "The client has gone");
        call_end(c);
    } else if (status == 0)
        endpoint_ready(c);
    else
        call_error(c, status, code, "%s", text);
}

static void policy_passed(struct call *c)
{
    struct submit *s = c->state;
    struct err err = ERR_INIT;
    if (s->n_tasks == 0) {
        endpoint_ready(c);
        return;
    }
    if (!s->endpoint->is_template) {
        s->uep = ueps_get_legacy(c->api->ueps, s->endpoint_id, s->endpoint->owner);
        endpoint_ready(c);
        return;
    }
    char id[UUID_TEXT];
    id_uep(s->endpoint_id, c->caller.sub, s->config, id);
    struct uep_start start = {.endpoint = s->endpoint_id,
                              .owner = c->caller.sub,
                              .config = s->config,
                              .runtime = s->runtime,
                              .caller = &c->caller,
                              .request_id = req_id(c->req),
                              .registered_us = s->endpoint->registered_us};
    s->uep = ueps_get(c->api->ueps, id, &start, &err);
    if (!s->uep) {
        call_error(c, 403, "ENDPOINT_ACCESS_FORBIDDEN", "%s", err.text);
        return;
    }
    uep_want(s->uep, s->began_us + LOOP_S(c->api->settings.start_timeout_s), uep_done, c);
}

/* ---- the stream queue ---- */

static void stream_made(void *arg, const struct broker_queue_state *state, const struct err *err)
{
    struct call *c = arg;
    struct submit *s = c->state;
    if (!state) {
        call_no_broker(c, err);
        return;
    }
    s->group->stream = true;
    stream_ready(c);
}

static void endpoint_ready(struct call *c)
{
    struct submit *s = c->state;
    if (!s->group) {
        s->group = xcalloc(1, sizeof(*s->group));
        s->group->refs = 1;
        s->new_group = true;
        id_new(s->group->id);
        strcpy(s->group->owner, c->caller.sub);
    }
    if (!s->create_queue || s->group->stream) {
        stream_ready(c);
        return;
    }
    autofree char *name = xasprintf("%s.%s", s->group->owner, s->group->id);
    broker_queue_make(c->api->broker, BROKER_STREAM, name, stream_made, c);
}

/* ---- the ledger ---- */

static void bind_task(void *arg, size_t i, struct db_binder *b)
{
    struct call *c = arg;
    struct submit *s = c->state;
    struct submit_task *t = &s->tasks[i];
    db_bind(b, "ssssssiisi", t->id, s->group->id, c->caller.sub, s->endpoint_id, s->uep_id,
            s->functions[t->function].id, (int64_t)s->create_queue, s->accepted_us, s->opts,
            keeper_id(c->api->keeper));
}

static void bind_payload(void *arg, size_t i, struct db_binder *b)
{
    struct call *c = arg;
    struct submit *s = c->state;
    struct submit_task *t = &s->tasks[i];
    if (t->file[0])
        db_bind(b, "sns", t->id, t->file);
    else
        db_bind(b, "sbs", t->id, t->args, t->args_len, NULL);
}

static int keep_large(struct call *c, struct submit *s, struct err *err)
{
    for (size_t i = 0; i < s->n_tasks; i++) {
        struct submit_task *t = &s->tasks[i];
        if (t->args_len >= c->api->settings.payload_file_min && !t->file[0] &&
            files_put(c->api->files, t->args, t->args_len, t->file, err) < 0)
            return -1;
    }
    return 0;
}

static int accept_job(struct db *db, void *arg, struct err *err)
{
    struct call *c = arg;
    struct submit *s = c->state;
    /* The ledger kept us waiting and the client has been told to try again: tasks that it doesn't
     * know of would run beside those of its next try. */
    if (clock_mono_us() > s->accept_by_us)
        return err_set(err, "the ledger was not there in time");
    if (s->new_group &&
        db_run(db, err,
               "INSERT INTO task_groups(id, owner, stream, created_us) VALUES (?, ?, ?, ?) "
               "ON CONFLICT(id) DO NOTHING",
               "ssii", s->group->id, s->group->owner, (int64_t)s->create_queue, s->accepted_us) < 0)
        return -1;
    if (s->uep_text && uep_save(db, s->uep_id, s->endpoint_id, c->caller.sub, s->uep_text, err) < 0)
        return -1;
    if (keep_large(c, s, err) < 0)
        return -1;
    if (db_run_many(db, err,
                    "INSERT INTO tasks(id, grp, owner, endpoint, uep, function, state, stream, "
                    "created_us, opts, keeper) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?) "
                    "ON CONFLICT(id) DO NOTHING",
                    s->n_tasks, bind_task, c) < 0 ||
        db_run_many(db, err,
                    "INSERT INTO payloads(task, args, file) VALUES (?, ?, ?) "
                    "ON CONFLICT(task) DO NOTHING",
                    s->n_tasks, bind_payload, c) < 0)
        return -1;
    return 0;
}

static void answer(struct call *c, struct submit *s)
{
    struct buf b = BUF_INIT;
    buf_fmt(&b,
            "{\"request_id\":\"%s\",\"task_group_id\":\"%s\",\"endpoint_id\":\"%s\",\"tasks\":{",
            req_id(c->req), s->group->id, s->endpoint_id);
    for (size_t f = 0, t = 0; f < s->n_functions; f++) {
        buf_str(&b, f ? "," : "");
        buf_json_str(&b, s->functions[f].spelled, strlen(s->functions[f].spelled));
        buf_str(&b, ":[");
        for (size_t i = 0; i < s->functions[f].count; i++, t++)
            buf_fmt(&b, "%s\"%s\"", i ? "," : "", s->tasks[t].id);
        buf_char(&b, ']');
    }
    buf_str(&b, "}}");
    reply_text(c->req, 200, "application/json", b.data, b.len);
    buf_free(&b);
}

static void send_off(struct call *c, struct submit *s)
{
    struct task_out *out = xcalloc(s->n_tasks, sizeof(*out));
    for (size_t i = 0; i < s->n_tasks; i++) {
        const struct submit_task *t = &s->tasks[i];
        const struct function *f = s->functions[t->function].row;
        strcpy(out[i].id, t->id);
        strcpy(out[i].function, f->id);
        out[i].prefix = f->prefix;
        out[i].prefix_len = f->prefix_len;
        out[i].args = t->args;
        out[i].args_len = t->args_len;
        out[i].opts = s->opts;
    }
    outbox_accepted(c->api->outbox, s->uep, out, s->n_tasks);
    free(out);
}

static void accepted(struct call *c)
{
    struct submit *s = c->state;
    fault_point("submit-stored");
    rowcache_put_group(c->api->cache, s->group);
    if (s->uep_text && s->uep)
        uep_saved(s->uep, s->uep_text);
    c->api->counters.accepted += s->n_tasks;
    if (s->reply)
        s->reply(c);
    else
        answer(c, s);
    log_debug("request=%s event=submit endpoint=%s uep=%s user=%s tasks=%zu", req_id(c->req),
              s->endpoint_id, s->uep_id, c->caller.username, s->n_tasks);
    fault_point("submit-answered");
    if (s->n_tasks)
        send_off(c, s);
    call_end(c);
}

static void stream_ready(struct call *c)
{
    struct submit *s = c->state;
    for (size_t i = 0; i < s->n_tasks; i++)
        id_new(s->tasks[i].id);
    s->accepted_us = now_us();
    if (s->uep) {
        strcpy(s->uep_id, uep_id(s->uep));
        s->uep_text = uep_unsaved(s->uep);
    }
    call_job(c, true, accept_job, accepted);
}

void submit_go(struct call *c)
{
    struct submit *s = c->state;
    s->began_us = loop_now_us(c->api->loop);
    s->accept_by_us = clock_mono_us() + LOOP_S(ACCEPT_S);
    look_up(c);
}

static void begin(struct call *c)
{
    struct submit *s = xcalloc(1, sizeof(*s));
    c->state = s;
    c->free_state = submit_free;
    if (call_id(c, s->endpoint_id) && submit_read(c, s))
        submit_go(c);
}

void on_submit(struct req *r)
{
    call_begin(r, begin);
}
