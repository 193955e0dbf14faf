/* The moment as a value: made, compared with the one before, written as JSON, freed. */
#include <stdlib.h>
#include <string.h>

#include "cli/gce/top.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"

static const struct uep *same_before(const struct view *v, const struct uep *u)
{
    for (size_t i = 0; v && i < v->count; i++)
        for (size_t k = 0; k < v->sites[i].count; k++) {
            const struct uep *w = &v->sites[i].ueps[k];
            if (w->uid == u->uid && strcmp(w->name, u->name) == 0)
                return w;
        }
    return NULL;
}

/* By the user endpoint's own clock and totals; those of another life of it say nothing. */
static void rate(struct uep *u, const struct uep *w)
{
    if (!w || !w->status || !u->status)
        return;
    double from = json_object_get_double(json_at(w->status, "now"));
    double to = json_object_get_double(json_at(u->status, "now"));
    int64_t was = 0, is = 0;
    if (json_get_int(w->status, "tasks.confirmed_total", &was, NULL) < 0 ||
        json_get_int(u->status, "tasks.confirmed_total", &is, NULL) < 0)
        return;
    if (to > from && is >= was)
        u->rate = (double)(is - was) / (to - from);
}

struct view *view_look(const char *epdir, const struct view *before)
{
    struct view *v = xcalloc(1, sizeof(*v));
    v->now = clock_unix();
    find_sites(v, epdir);
    ask_all(v);
    for (size_t i = 0; i < v->count; i++)
        for (size_t k = 0; k < v->sites[i].count; k++)
            rate(&v->sites[i].ueps[k], same_before(before, &v->sites[i].ueps[k]));
    return v;
}

static struct json_object *uep_json(const struct uep *u)
{
    struct json_object *o = json_object_new_object();
    int64_t pid = u->pid;
    if (pid == 0)
        (void)json_get_int(u->status, "pid", &pid, NULL);
    json_add_str(o, "name", u->name);
    json_add_str(o, "id", u->id ? u->id : json_str_or(u->status, "endpoint_id", NULL));
    json_add_str(o, "user", u->user);
    json_add_int(o, "uid", u->uid);
    json_add_int(o, "pid", pid);
    json_add_str(o, "error", u->error);
    json_object_object_add(o, "status", json_object_get(u->status));
    return o;
}

struct json_object *view_json(const struct view *v)
{
    struct json_object *doc = json_object_new_object(), *sites = json_object_new_array();
    for (size_t i = 0; i < v->count; i++) {
        const struct site *s = &v->sites[i];
        bool is_managed = strcmp(s->name, "-") != 0;
        struct json_object *o = json_object_new_object(), *ueps = json_object_new_array();
        json_add_str(o, "name", is_managed ? s->name : NULL);
        json_add_str(o, "id", s->id);
        json_add_str(o, "status", is_managed ? ep_status_text(s->status) : NULL);
        json_add_str(o, "path", s->dir);
        json_add_str(o, "error", s->error);
        for (size_t k = 0; k < s->count; k++)
            json_object_array_add(ueps, uep_json(&s->ueps[k]));
        json_add(o, "user_endpoints", ueps);
        json_object_array_add(sites, o);
    }
    json_add_double(doc, "now", v->now);
    json_add(doc, "endpoints", sites);
    return doc;
}

void view_free(struct view *v)
{
    for (size_t i = 0; v && i < v->count; i++) {
        struct site *s = &v->sites[i];
        for (size_t k = 0; k < s->count; k++) {
            struct uep *u = &s->ueps[k];
            json_object_put(u->status);
            free(u->name);
            free(u->user);
            free(u->id);
            free(u->dir);
            free(u->error);
        }
        free(s->ueps);
        free(s->dir);
        free(s->id);
        free(s->error);
    }
    if (v)
        free(v->sites);
    free(v);
}
