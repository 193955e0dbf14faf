#include "endpoint/launch_cmd.h"

#include <string.h>

#include "lib/base/alloc.h"

#define NAME_MAX_LEN 64

/* The names of all placeholders of the original, blanks between. */
static const char names[] =
    "debug max_workers_per_node addresses prefetch_capacity cores_per_worker mem_per_worker "
    "poll_period worker_port cert_dir logdir logconf block_id heartbeat_period "
    "heartbeat_threshold address_probe_timeout_string drain_period cpu_affinity enable_mpi_mode "
    "mpi_launcher accelerators nodes_per_block";

static const char script[] = "process_worker_pool.py";
static const char module[] = "parsl.executors.high_throughput.process_worker_pool";

/* Where the pool's program begins, with what starts it; NULL = nowhere. */
static const char *find_pool(const char *text)
{
    static const char *const starters[] = {"globus-compute-endpoint python-exec ", "python3 -m ",
                                           "python -m "};
    const char *at = strstr(text, script), *name = strstr(text, module);
    if (at != NULL) { /* with its folder */
        while (at > text && strchr(" \t\n;|&(\"'", at[-1]) == NULL)
            at--;
        return at;
    }
    for (size_t i = 0; name != NULL && i < sizeof(starters) / sizeof(starters[0]); i++) {
        size_t n = strlen(starters[i]);
        if ((size_t)(name - text) >= n && memcmp(name - n, starters[i], n) == 0)
            return name - n;
    }
    return name;
}

/* The end of the simple command that begins there. */
static const char *end_of_command(const char *p)
{
    char quote = '\0';
    for (; *p != '\0'; p++) {
        if (quote != '\0')
            quote = *p == quote ? '\0' : quote;
        else if (*p == '"' || *p == '\'')
            quote = *p;
        else if (*p == '\\' && p[1] != '\0')
            p++;
        else if (strchr(";|&<>()\n", *p) != NULL)
            break;
    }
    while (p[-1] == ' ' || p[-1] == '\t')
        p--;
    return p;
}

/* Words of the pool's command that are options with plain values: "-c 2", "--port=9000". */
static void note_lost(const char *p, const char *end, struct buf *lost)
{
    bool of_option = false;
    while (lost != NULL && p < end) {
        p += strspn(p, " \t");
        size_t n = strcspn(p, " \t");
        if (p + n > end)
            n = (size_t)(end - p);
        if (n == 0)
            break;
        const char *next = p + n + strspn(p + n, " \t");
        bool option = *p == '-', filled = memchr(p, '{', n) != NULL;
        bool fed = option && memchr(p, '=', n) == NULL && next < end && *next == '{';
        if ((option && !filled && !fed) || (of_option && !option && !filled)) {
            buf_fmt(lost, "%s%.*s", lost->len > 0 ? " " : "", (int)n, p);
            of_option = option;
        } else {
            of_option = false;
        }
        p += n;
    }
}

struct filling {
    launch_cmd_f *value;
    void *arg;
    const char *agent;
    bool started; /* the agent is in it */
};

static int fill_one(struct buf *out, struct filling *f, const char *name, struct err *err)
{
    if (strcmp(name, "block_id") == 0) {
        buf_str(out, "{block_id}");
        return 0;
    }
    if (strcmp(name, "command") == 0) {
        buf_str(out, f->agent);
        f->started = true;
        return 0;
    }
    if (f->value(f->arg, name, out))
        return 0;
    return err_set(err,
                   "engine option launch_cmd: unknown placeholder {%s}; known are %s command. A "
                   "brace for the shell is written twice: ${{%s}}",
                   name, names, name);
}

/* Python's format(): {name}, {{ and }}. */
static int fill(struct buf *out, struct filling *f, const char *p, const char *end, struct err *err)
{
    while (p < end) {
        char name[NAME_MAX_LEN] = "";
        if ((*p == '{' || *p == '}') && p + 1 < end && p[1] == *p) {
            /* {{block_id}} is how the original's own command has it */
            if (strncmp(p, "{{block_id}}", 12) == 0) {
                buf_str(out, "{block_id}");
                p += 12;
                continue;
            }
            buf_char(out, *p);
            p += 2;
            continue;
        }
        if (*p != '{') {
            if (*p == '}')
                return err_set(err, "engine option launch_cmd: a single } stands in it; a brace "
                                    "for the shell is written twice");
            buf_char(out, *p++);
            continue;
        }
        size_t n = strcspn(p + 1, "{}");
        if (p[1 + n] != '}' || n >= sizeof(name))
            return err_set(err, "engine option launch_cmd: a placeholder is not closed at %.40s",
                           p);
        memcpy(name, p + 1, n);
        if (fill_one(out, f, name, err) != 0)
            return -1;
        p += n + 2;
    }
    return 0;
}

int launch_cmd_write(struct buf *out, const char *text, const char *agent, launch_cmd_f *value,
                     void *arg, struct buf *lost, struct err *err)
{
    struct filling f = {.value = value, .arg = arg, .agent = agent};
    const char *pool = find_pool(text), *end = text + strlen(text);
    autobuf struct buf unused = BUF_INIT;
    if (pool == NULL) {
        if (fill(out, &f, text, end, err) != 0)
            return -1;
        if (!f.started)
            return err_set(err,
                           "engine option launch_cmd starts neither process_worker_pool.py "
                           "nor {command}, so no worker would ever come: %.100s",
                           text);
        return 0;
    }
    const char *rest = end_of_command(pool);
    const char *name = strstr(pool, script) != NULL ? strstr(pool, script) : strstr(pool, module);
    note_lost(name + strcspn(name, " \t\"'"), rest, lost);
    if (fill(out, &f, text, pool, err) != 0 || fill(&unused, &f, pool, rest, err) != 0)
        return -1;
    buf_str(out, agent);
    return fill(out, &f, rest, end, err);
}
