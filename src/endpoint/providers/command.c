#include "endpoint/providers/command.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/spawn.h"

#define ANSWER_MAX (8 << 20) /* bytes read of an answer */

/* Commands that run at a time. */
static const size_t at_once[PURPOSES] = {[TO_SUBMIT] = 3, [TO_ASK] = 1, [TO_CANCEL] = 2};

struct command {
    struct lane *lane;
    struct command *next;
    char *text, *input;
    answer_f *cb;
    void *arg;
    struct spawn *spawn;
};

struct lane {
    struct command_queue *queue;
    struct command *running, *waiting, **last;
    size_t count; /* that run */
};

struct command_queue {
    struct provider *provider;
    struct lane lanes[PURPOSES];
    struct loop_timer *kick;
};

static void command_free(struct command *c)
{
    free(c->text);
    free(c->input);
    free(c);
}

static void end(struct command *c, const struct answer *a)
{
    struct lane *lane = c->lane;
    for (struct command **at = &lane->running; *at != NULL; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            lane->count--;
            break;
        }
    loop_timer_set(lane->queue->kick, 0, 0);
    c->cb(c->arg, a);
    command_free(c);
}

static void ended_cb(void *arg, const struct spawn_result *r)
{
    struct command *c = arg;
    c->spawn = NULL;
    log_debug("ended in %llu ms with %d: %s", (unsigned long long)r->took_us / 1000, r->exit_code,
              c->text);
    end(c, &(struct answer){.exit_code = r->exit_code,
                            .timed_out = r->timed_out,
                            .cut = r->out_len >= ANSWER_MAX || strlen(r->out) < r->out_len,
                            .out = r->out,
                            .err = r->errout});
}

static void start(struct command *c)
{
    struct err err = ERR_INIT;
    struct provider *p = c->lane->queue->provider;
    const char *argv[] = {"/bin/sh", "-c", c->text, NULL};
    log_debug("running: %s", c->text);
    c->spawn = spawn_start(
        p->loop,
        &(struct spawn_opts){.argv = argv,
                             .input = c->input,
                             .input_len = c->input != NULL ? strlen(c->input) : 0,
                             .output_max = ANSWER_MAX,
                             .timeout_us = LOOP_S((uint64_t)provider_int(p, "cmd_timeout"))},
        ended_cb, c, &err);
    if (c->spawn == NULL)
        end(c, &(struct answer){.exit_code = -1, .out = "", .err = err.text});
}

static void start_some(struct lane *lane, size_t most)
{
    while (lane->count < most && lane->waiting != NULL) {
        struct command *c = lane->waiting;
        lane->waiting = c->next;
        if (lane->waiting == NULL)
            lane->last = &lane->waiting;
        c->next = lane->running;
        lane->running = c;
        lane->count++;
        start(c);
    }
}

static void kick_cb(void *arg)
{
    struct command_queue *q = arg;
    for (size_t i = 0; i < PURPOSES; i++)
        start_some(&q->lanes[i], at_once[i]);
}

struct command_queue *command_queue_create(struct provider *p)
{
    struct command_queue *q = xcalloc(1, sizeof(*q));
    q->provider = p;
    for (size_t i = 0; i < PURPOSES; i++)
        q->lanes[i] = (struct lane){.queue = q, .last = &q->lanes[i].waiting};
    q->kick = loop_timer_create(p->loop, kick_cb, q);
    return q;
}

static void drop(struct command *c)
{
    while (c != NULL) {
        struct command *next = c->next;
        spawn_cancel(c->spawn);
        c->cb(c->arg, NULL);
        command_free(c);
        c = next;
    }
}

void command_queue_destroy(struct command_queue *q)
{
    if (q == NULL)
        return;
    loop_timer_destroy(q->kick);
    for (size_t i = 0; i < PURPOSES; i++) {
        drop(q->lanes[i].running);
        drop(q->lanes[i].waiting);
    }
    free(q);
}

void command_run(struct provider *p, enum purpose purpose, const char *text, const char *input,
                 answer_f *cb, void *arg)
{
    struct lane *lane = &p->commands->lanes[purpose];
    struct command *c = xcalloc(1, sizeof(*c));
    *c = (struct command){
        .lane = lane, .text = xstrdup(text), .input = xstrdup(input), .cb = cb, .arg = arg};
    *lane->last = c;
    lane->last = &c->next;
    loop_timer_set(p->commands->kick, 0, 0);
}

void command_word(struct buf *out, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-";
    if (*text != '\0' && strspn(text, plain) == strlen(text)) {
        buf_str(out, text);
        return;
    }
    buf_char(out, '\'');
    for (; *text != '\0'; text++)
        if (*text == '\'')
            buf_str(out, "'\\''");
        else
            buf_char(out, *text);
    buf_char(out, '\'');
}

void command_words(struct buf *out, const char *const *words, size_t n, const char *between)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_str(out, between);
        command_word(out, words[i]);
    }
}
