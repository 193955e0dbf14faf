#include "endpoint/providers/command.h"

#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/base/spawn.h"

#define AT_ONCE 3            /* commands that run at a time */
#define ANSWER_MAX (8 << 20) /* bytes read of an answer */

struct command {
    struct command_queue *queue;
    struct command *next;
    char *text, *input;
    answer_f *cb;
    void *arg;
    struct spawn *spawn;
};

struct command_queue {
    struct provider *provider;
    struct command *running, *waiting, **last;
    size_t count; /* that run */
    struct loop_timer *kick;
};

static void start_some(struct command_queue *q);

static void command_free(struct command *c)
{
    free(c->text);
    free(c->input);
    free(c);
}

static void end(struct command *c, const struct answer *a)
{
    struct command_queue *q = c->queue;
    for (struct command **at = &q->running; *at != NULL; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            q->count--;
            break;
        }
    loop_timer_set(q->kick, 0, 0);
    c->cb(c->arg, a);
    command_free(c);
}

static void ended_cb(void *arg, const struct spawn_result *r)
{
    struct command *c = arg;
    c->spawn = NULL;
    log_debug("ended in %llu ms with %d: %s", (unsigned long long)r->took_us / 1000, r->exit_code,
              c->text);
    end(c,
        &(struct answer){
            .exit_code = r->exit_code, .timed_out = r->timed_out, .out = r->out, .err = r->errout});
}

static void start_some(struct command_queue *q)
{
    while (q->count < AT_ONCE && q->waiting != NULL) {
        struct command *c = q->waiting;
        struct err err = ERR_INIT;
        const char *argv[] = {"/bin/sh", "-c", c->text, NULL};
        q->waiting = c->next;
        if (q->waiting == NULL)
            q->last = &q->waiting;
        c->next = q->running;
        q->running = c;
        q->count++;
        log_debug("running: %s", c->text);
        c->spawn = spawn_start(
            q->provider->loop,
            &(struct spawn_opts){.argv = argv,
                                 .input = c->input,
                                 .input_len = c->input != NULL ? strlen(c->input) : 0,
                                 .output_max = ANSWER_MAX,
                                 .timeout_us =
                                     LOOP_S((uint64_t)provider_int(q->provider, "cmd_timeout"))},
            ended_cb, c, &err);
        if (c->spawn == NULL)
            end(c, &(struct answer){.exit_code = -1, .out = "", .err = err.text});
    }
}

static void kick_cb(void *arg)
{
    start_some(arg);
}

struct command_queue *command_queue_create(struct provider *p)
{
    struct command_queue *q = xcalloc(1, sizeof(*q));
    q->provider = p;
    q->last = &q->waiting;
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
    drop(q->running);
    drop(q->waiting);
    free(q);
}

void command_run(struct provider *p, const char *text, const char *input, answer_f *cb, void *arg)
{
    struct command_queue *q = p->commands;
    struct command *c = xcalloc(1, sizeof(*c));
    *c = (struct command){
        .queue = q, .text = xstrdup(text), .input = xstrdup(input), .cb = cb, .arg = arg};
    *q->last = c;
    q->last = &c->next;
    loop_timer_set(q->kick, 0, 0);
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
