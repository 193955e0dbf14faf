/* Lines for people: a head, a line for each endpoint, user endpoint and block. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/gce/top.h"
#include "lib/base/alloc.h"

#define CELL 96
#define WIDE 132 /* from here on ids are shown whole */

struct sums {
    int64_t ueps, blocks, nodes, workers, busy, waiting, running;
    double rate;
    bool has_rate;
};

/* Foreign text in at most max columns: nothing that moves a cursor, nothing of unknown width. */
static const char *shown(const char *text, size_t max, char out[CELL])
{
    size_t n = 0;
    for (; text && text[n] && n < max && n + 1 < CELL; n++)
        out[n] = text[n] >= 0x20 && text[n] < 0x7f ? text[n] : '?';
    out[n] = '\0';
    return out;
}

static int64_t number(struct json_object *o, const char *path)
{
    int64_t n = 0;
    return json_get_int(o, path, &n, NULL) == 0 && n > 0 ? n : 0;
}

static double seconds(struct json_object *o, const char *path)
{
    double d = json_object_get_double(json_at(o, path));
    return isfinite(d) ? d : 0;
}

static const char *duration(double s, char out[CELL])
{
    long all = s > 0 && s < 1e9 ? (long)s : 0;
    long days = all / 86400, hours = all / 3600 % 24, minutes = all / 60 % 60;
    if (days)
        snprintf(out, CELL, "%ldd %02ld:%02ld", days, hours, minutes);
    else
        snprintf(out, CELL, "%ld:%02ld:%02ld", hours, minutes, all % 60);
    return out;
}

static const char *rate_text(double rate, char out[CELL])
{
    if (rate < 0)
        return "-";
    snprintf(out, CELL, rate < 100 ? "%.1f" : "%.0f", rate);
    return out;
}

static size_t length(struct json_object *list)
{
    return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

static void line(struct buf *out, enum look look, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void line(struct buf *out, enum look look, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_char(out, (char)('0' + look));
    buf_vfmt(out, fmt, ap);
    buf_char(out, '\n');
    va_end(ap);
}

static void sum_up(const struct view *v, struct sums *s)
{
    for (size_t i = 0; i < v->count; i++)
        for (size_t k = 0; k < v->sites[i].count; k++) {
            const struct uep *u = &v->sites[i].ueps[k];
            int64_t workers = number(u->status, "workers");
            int64_t idle = number(u->status, "idle_workers");
            s->ueps++;
            s->blocks += (int64_t)length(json_at(u->status, "blocks"));
            s->nodes += (int64_t)length(json_at(u->status, "nodes"));
            s->workers += workers;
            s->busy += workers > idle ? workers - idle : 0;
            s->waiting += number(u->status, "tasks.waiting");
            s->running += number(u->status, "tasks.on_nodes");
            s->rate += u->rate > 0 ? u->rate : 0;
            s->has_rate |= u->rate >= 0;
        }
}

static const char *word(int64_t n)
{
    return n == 1 ? "" : "s";
}

static void head(const struct view *v, struct buf *out)
{
    struct sums s = {0};
    char rate[CELL];
    sum_up(v, &s);
    line(out, LOOK_HEAD,
         "%lld user endpoint%s  %lld block%s  %lld node%s  workers %lld busy of %lld  tasks %lld "
         "waiting, %lld on nodes, %s/s",
         (long long)s.ueps, word(s.ueps), (long long)s.blocks, word(s.blocks), (long long)s.nodes,
         word(s.nodes), (long long)s.busy, (long long)s.workers, (long long)s.waiting,
         (long long)s.running, rate_text(s.has_rate ? s.rate : -1, rate));
}

/* Nodes and workers that a block has brought. */
static void nodes_of(struct json_object *nodes, const char *block, int64_t *count, int64_t *workers,
                     int64_t *tasks)
{
    *count = *workers = *tasks = 0;
    for (size_t i = 0; i < length(nodes); i++) {
        struct json_object *n = json_object_array_get_idx(nodes, i);
        if (strcmp(json_str_or(n, "block", ""), block) != 0)
            continue;
        ++*count;
        *workers += number(n, "workers");
        *tasks += number(n, "tasks");
    }
}

static void block_line(const struct uep *u, struct json_object *b, double now, struct buf *out)
{
    char id[CELL], job[CELL], state[CELL], since[CELL], note[CELL];
    int64_t nodes, workers, tasks;
    const char *name = json_str_or(b, "state", "?");
    const char *why = json_str_or(b, "note", NULL);
    if (!why || !*why)
        why = json_str_or(b, "message", "");
    nodes_of(json_at(u->status, "nodes"), json_str_or(b, "id", ""), &nodes, &workers, &tasks);
    bool is_bad =
        strcmp(name, "FAILED") == 0 || strcmp(name, "TIMEOUT") == 0 || strcmp(name, "MISSING") == 0;
    enum look look = is_bad ? LOOK_BAD : strcmp(name, "RUNNING") == 0 ? LOOK_PLAIN : LOOK_WARN;
    line(out, look,
         "    block %-4s job %-12s %-10s %9s  %lld node%s, %lld worker%s, %lld task%s  %s",
         shown(json_str_or(b, "id", "?"), 12, id), shown(json_str_or(b, "job_id", "-"), 32, job),
         shown(name, 16, state), duration(now - seconds(b, "since"), since), (long long)nodes,
         word(nodes), (long long)workers, word(workers), (long long)tasks, word(tasks),
         shown(why, 90, note));
}

static void titles(int id_width, struct buf *out)
{
    line(out, LOOK_DIM, "  %-14s %-*s %8s %-9s %11s %7s %6s %9s %8s %8s %9s %7s", "USER", id_width,
         "USER ENDPOINT", "PID", "PHASE", "UP", "BLOCKS", "NODES", "WORKERS", "WAITING", "ON NODES",
         "DONE", "RATE/S");
}

static void uep_line(const struct uep *u, int id_width, struct buf *out)
{
    char user[CELL], id[CELL], phase[CELL], up[CELL], blocks[CELL], workers[CELL], rate[CELL];
    struct json_object *s = u->status;
    const char *name = u->id ? u->id : json_str_or(s, "endpoint_id", u->name);
    shown(u->user, 14, user);
    shown(name, (size_t)id_width, id);
    if (!s) {
        line(out, LOOK_BAD, "  %-14s %-*s %8d %s", user, id_width, id, (int)u->pid,
             shown(u->error, 90, phase));
        return;
    }
    int64_t all = number(s, "workers"), idle = number(s, "idle_workers");
    bool is_well = strcmp(json_str_or(s, "phase", ""), "running") == 0 &&
                   json_object_get_boolean(json_at(s, "taking_tasks")) &&
                   json_object_get_boolean(json_at(s, "publishing"));
    snprintf(blocks, sizeof(blocks), "%zu/%lld", length(json_at(s, "blocks")),
             (long long)number(s, "max_blocks"));
    snprintf(workers, sizeof(workers), "%lld/%lld", (long long)(all > idle ? all - idle : 0),
             (long long)all);
    line(out, is_well ? LOOK_PLAIN : LOOK_WARN,
         "  %-14s %-*s %8lld %-9s %11s %7s %6zu %9s %8lld %8lld %9lld %7s", user, id_width, id,
         (long long)number(s, "pid"), shown(json_str_or(s, "phase", "?"), 9, phase),
         duration(seconds(s, "now") - seconds(s, "started"), up), blocks,
         length(json_at(s, "nodes")), workers, (long long)number(s, "tasks.waiting"),
         (long long)number(s, "tasks.on_nodes"), (long long)number(s, "tasks.confirmed_total"),
         rate_text(u->rate, rate));
    for (size_t i = 0; i < length(json_at(s, "blocks")); i++)
        block_line(u, json_object_array_get_idx(json_at(s, "blocks"), i), seconds(s, "now"), out);
}

static void site_line(const struct site *s, struct buf *out)
{
    char name[CELL], note[CELL];
    if (strcmp(s->name, "-") == 0)
        line(out, LOOK_HEAD, "without a manager here");
    else
        line(out, LOOK_HEAD, "%s  %s  %s", shown(s->name, 64, name), s->id ? s->id : "-",
             ep_status_text(s->status));
    if (s->error)
        line(out, LOOK_BAD, "  %s", shown(s->error, 94, note));
    else if (s->count == 0)
        line(out, LOOK_DIM, "  no user endpoint");
}

void view_lines(const struct view *v, int width, struct buf *out)
{
    int id_width = width >= WIDE ? 36 : 13;
    bool has_titles = false;
    head(v, out);
    for (size_t i = 0; i < v->count; i++) {
        const struct site *s = &v->sites[i];
        site_line(s, out);
        for (size_t k = 0; k < s->count; k++) {
            if (!has_titles)
                titles(id_width, out);
            has_titles = true;
            uep_line(&s->ueps[k], id_width, out);
        }
    }
}
