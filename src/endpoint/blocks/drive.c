/* Drives blocks from a test: the settings are a JSON file, orders are lines on standard input, what
 * happens comes as one JSON object a line on standard output.
 *
 *   demand N | agent BLOCK | load BLOCK TASKS AGENTS | describe | shutdown | kill
 *
 * {"event": "ready" | "hold" | "ended" | "bad_state" | "blocks" | "down", ...}; the end of standard
 * input is a shutdown.  With {"check": true} it only checks the provider. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "endpoint/blocks/blocks.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/map.h"

struct drive {
    struct loop *loop;
    struct blocks *blocks;
    struct loop_io *input;
    struct map *loads; /* block id -> struct block_load */
    struct buf line;
    bool going;
};

static void say(struct json_object *o)
{
    printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE));
    fflush(stdout);
    json_object_put(o);
}

static struct json_object *event(const char *what)
{
    struct json_object *o = json_object_new_object();
    json_add_str(o, "event", what);
    return o;
}

static void on_load(void *arg, const char *block_id, struct block_load *out)
{
    struct drive *d = arg;
    const struct block_load *known = map_get(d->loads, block_id);
    if (known != NULL)
        *out = *known;
}

static void say_block(const char *what, const char *block_id)
{
    struct json_object *o = event(what);
    json_add_str(o, "block", block_id);
    say(o);
}

static void on_hold(void *arg, const char *block_id)
{
    say_block("hold", block_id);
}

static void on_ended(void *arg, const char *block_id)
{
    say_block("ended", block_id);
}

static void on_bad_state(void *arg, const char *text)
{
    struct json_object *o = event("bad_state");
    json_add_str(o, "text", text);
    say(o);
}

static void down_cb(void *arg)
{
    struct drive *d = arg;
    say(event("down"));
    loop_stop(d->loop, 0);
}

static void go_down(struct drive *d)
{
    if (d->going)
        return;
    d->going = true;
    blocks_shutdown(d->blocks, down_cb, d);
}

static void set_load(struct drive *d, const char *block, unsigned tasks, unsigned agents)
{
    struct block_load *load = map_get(d->loads, block);
    if (load == NULL) {
        load = xcalloc(1, sizeof(*load));
        map_put(d->loads, block, load);
    }
    load->tasks = tasks;
    load->agents = agents;
    load->idle_since_us = tasks == 0 ? loop_now_us(d->loop) : 0;
}

static void order(struct drive *d, const char *text)
{
    char block[32] = "";
    unsigned n = 0, m = 0;
    if (sscanf(text, "demand %u", &n) == 1) {
        blocks_demand(d->blocks, n);
    } else if (sscanf(text, "agent %31s", block) == 1) {
        set_load(d, block, 0, 1);
        blocks_agent_registered(d->blocks, block);
    } else if (sscanf(text, "load %31s %u %u", block, &n, &m) == 3) {
        set_load(d, block, n, m);
    } else if (strcmp(text, "describe") == 0) {
        struct json_object *o = event("blocks");
        json_add(o, "blocks", blocks_describe(d->blocks));
        say(o);
    } else if (strcmp(text, "shutdown") == 0) {
        go_down(d);
    } else if (strcmp(text, "kill") == 0) {
        kill(getpid(), SIGKILL);
    } else {
        fprintf(stderr, "unknown order: %s\n", text);
        exit(2);
    }
}

static void input_cb(void *arg, int fd, uint32_t revents)
{
    struct drive *d = arg;
    char tmp[4096];
    ssize_t n = read(fd, tmp, sizeof(tmp));
    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0) {
        loop_io_destroy(d->input);
        d->input = NULL;
        go_down(d);
        return;
    }
    buf_add(&d->line, tmp, (size_t)n);
    char *end;
    while (d->line.len > 0 && (end = memchr(d->line.data, '\n', d->line.len)) != NULL) {
        *end = '\0';
        order(d, d->line.data);
        buf_drop(&d->line, (size_t)(end - d->line.data) + 1);
    }
}

static double number(struct json_object *o, const char *key, double otherwise)
{
    struct json_object *v = json_object_object_get(o, key);
    return v != NULL ? json_object_get_double(v) : otherwise;
}

static int run(struct json_object *o)
{
    static const struct blocks_handlers handlers = {on_load, on_hold, on_ended, on_bad_state};
    struct drive d = {.loop = loop_create(), .loads = map_create()};
    struct err err = ERR_INIT;
    struct json_object *never = json_object_object_get(o, "error_handler");
    d.blocks = blocks_create(
        d.loop,
        &(struct blocks_opts){.provider = json_object_object_get(o, "provider"),
                              .label = json_str_or(o, "label", "drive"),
                              .dir = json_str_or(o, "dir", "."),
                              .strategy = json_str_or(o, "strategy", "simple"),
                              .max_idletime_s = number(o, "max_idletime_s", 120),
                              .strategy_period_s = number(o, "strategy_period_s", 5),
                              .error_handler = never == NULL || json_object_get_boolean(never),
                              .slots_per_node = (int64_t)number(o, "slots_per_node", 1),
                              .command = json_str_or(o, "command", "true"),
                              .handlers = &handlers,
                              .arg = &d,
                              .failures_max = (unsigned)number(o, "failures_max", 0),
                              .jobs_per_hour = (unsigned)number(o, "jobs_per_hour", 0),
                              .poll_s = number(o, "poll_s", 0)},
        &err);
    if (d.blocks == NULL) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    d.input = loop_io_create(d.loop, 0, EPOLLIN, input_cb, &d);
    blocks_start(d.blocks);
    say(event("ready"));
    int rc = loop_run(d.loop);
    loop_io_destroy(d.input);
    blocks_destroy(d.blocks);
    map_destroy(d.loads, free);
    buf_free(&d.line);
    loop_destroy(d.loop);
    return rc;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    autobuf struct buf text = BUF_INIT;
    if (argc != 2 || fs_read(argv[1], 1 << 20, &text, &err) != 0) {
        fprintf(stderr, "%s\n", argc != 2 ? "usage: blocks_drive SETTINGS.json" : err.text);
        return 2;
    }
    log_init("drive", getenv("DRIVE_DEBUG") != NULL ? LOG_L_DEBUG : LOG_L_INFO);
    log_file(2, NULL);
    autojson struct json_object *o = json_read(text.data, text.len, 1 << 20, argv[1], &err);
    if (o == NULL) {
        fprintf(stderr, "%s\n", err.text);
        return 2;
    }
    if (!json_object_get_boolean(json_object_object_get(o, "check")))
        return run(o);
    int rc = blocks_check(json_object_object_get(o, "provider"), &err);
    if (rc != 0)
        fprintf(stderr, "%s\n", err.text);
    return rc != 0;
}
