#include "service/web/web.h"

#include "service/web/private.h"

struct web *web_create(const struct web_opts *opts)
{
    struct web *w = xcalloc(1, sizeof *w);
    w->opts = *opts;
    w->events = events_create(w);
    return w;
}

void web_stop(struct web *w)
{
    if (w != NULL)
        events_stop(w->events);
}

void web_destroy(struct web *w)
{
    if (w == NULL)
        return;
    events_destroy(w->events);
    free(w);
}

static void to_console(struct req *r)
{
    reply_redirect(r, 303, "/web/");
}

static void console(struct req *r, const struct auth_who *who)
{
    struct web *w = req_arg(r);
    page_reply(r, auth_pages(w->opts.auth), 200, "console.html", NULL, 0, NULL);
}

static void show_console(struct req *r)
{
    struct web *w = req_arg(r);
    auth_page(w->opts.auth, r, console);
}

static void me(struct req *r, const struct auth_who *who)
{
    char csrf[AUTH_CSRF_TEXT];
    auth_csrf(r, csrf);
    struct json_object *o = json_object_new_object();
    json_add_str(o, "sub", who->sub);
    json_add_str(o, "username", who->username);
    json_add_str(o, "name", who->name);
    json_add_bool(o, "admin", who->is_admin);
    json_add(o, "identities", json_object_get(who->identity_set));
    json_add_str(o, "csrf", csrf);
    reply_json(r, 200, o);
}

static void web_me(struct req *r)
{
    struct web *w = req_arg(r);
    auth_page(w->opts.auth, r, me);
}

static void stream(struct req *r, const struct auth_who *who)
{
    struct web *w = req_arg(r);
    events_open(w->events, r);
}

static void web_events(struct req *r)
{
    struct web *w = req_arg(r);
    auth_page(w->opts.auth, r, stream);
}

const struct route *web_routes(void)
{
    static const struct route routes[] = {
        {.method = "GET", .path = "/", .handler = to_console},
        {.method = "GET", .path = "/web", .handler = show_console},
        {.method = "GET", .path = "/web/api/me", .handler = web_me},
        {.method = "GET", .path = "/web/api/endpoints", .handler = web_endpoints},
        {.method = "GET", .path = "/web/api/endpoints/{id}", .handler = web_endpoint},
        {.method = "GET", .path = "/web/api/people", .handler = web_people},
        {.method = "GET", .path = "/web/api/tasks", .handler = web_tasks},
        {.method = "GET", .path = "/web/api/tasks/{id}", .handler = web_task},
        {.method = "GET", .path = "/web/api/events", .handler = web_events},
        {.method = NULL},
    };
    return routes;
}
