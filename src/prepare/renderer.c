/* See renderer.h.  The child writes one JSON object into a memory file and ends:
 *   {"text", "warnings"} or {"kind", "type", "message", "where"} */
#include "prepare/renderer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"

#define CPU_S 10
#define WALL_MS 30000
#define MEMORY (1ul << 30)
#define ANSWER_MAX (32u << 20) /* the text as JSON is larger than the text */

static void limit(int what, rlim_t value)
{
    struct rlimit r = {.rlim_cur = value, .rlim_max = value};
    setrlimit(what, &r);
}

static void child(const struct render_input *in, int answer)
{
    autobuf struct buf text = BUF_INIT, bytes = BUF_INIT;
    struct json_object *o = json_object_new_object(), *warnings = NULL;
    struct render_error failure;
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, CPU_S);
#if !defined(__SANITIZE_ADDRESS__)
    limit(RLIMIT_AS, MEMORY);
#endif
    if (render_user_config(in, &text, &warnings, &failure) == 0) {
        json_add(o, "text",
                 json_object_new_string_len(text.data != NULL ? text.data : "", (int)text.len));
        json_add(o, "warnings", warnings);
    } else {
        json_add_str(o, "kind", failure.kind);
        json_add_str(o, "type", failure.type);
        json_add_str(o, "message", failure.message);
        json_add_str(o, "where", failure.where);
    }
    json_write(&bytes, o);
    _exit(fs_write_all(answer, bytes.data, bytes.len) == 0 ? 0 : 1);
}

static int refuse(struct render_error *err, const char *message)
{
    memset(err, 0, sizeof(*err));
    snprintf(err->kind, sizeof(err->kind), "limit");
    snprintf(err->type, sizeof(err->type), "TemplateLimitError");
    err->message = xstrdup(message);
    return -1;
}

/* The status of the child; it is killed when the time is over. */
static int wait_for(pid_t pid)
{
    struct pollfd p = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    int status, n;
    do
        n = poll(&p, 1, WALL_MS);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (p.fd >= 0)
        close(p.fd);
    return status;
}

static int understand(int answer, struct buf *out, struct json_object **warnings,
                      struct render_error *err)
{
    autobuf struct buf bytes = BUF_INIT;
    struct json_object *text;
    if (lseek(answer, 0, SEEK_SET) < 0 || fs_read_fd(answer, ANSWER_MAX, "text", &bytes, NULL) < 0)
        return refuse(err, "the rendered text is too large");
    autojson struct json_object *o =
        json_read(bytes.data != NULL ? bytes.data : "", bytes.len, ANSWER_MAX, "text", NULL);
    if (o == NULL)
        return refuse(err, "the template could not be rendered");
    if (json_object_object_get_ex(o, "text", &text)) {
        buf_add(out, json_object_get_string(text), (size_t)json_object_get_string_len(text));
        *warnings = json_object_get(json_at(o, "warnings"));
        return 0;
    }
    memset(err, 0, sizeof(*err));
    snprintf(err->kind, sizeof(err->kind), "%s", json_str_or(o, "kind", "internal"));
    snprintf(err->type, sizeof(err->type), "%s", json_str_or(o, "type", "RuntimeError"));
    err->message = xstrdup(json_str_or(o, "message", ""));
    err->where = xstrdup(json_str_or(o, "where", NULL));
    return -1;
}

int renderer_run(const struct render_input *in, struct buf *out, struct json_object **warnings,
                 struct render_error *err)
{
    *warnings = NULL;
    autoclose int answer = fs_memfd("rendered", "", 0, false, NULL);
    pid_t pid = answer < 0 ? -1 : fork();
    if (pid < 0)
        return refuse(err, "no process or memory is left to render the template");
    if (pid == 0)
        child(in, answer);
    int status = wait_for(pid);
    if (WIFSIGNALED(status)) {
        bool slow = WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGXCPU;
        return refuse(err, slow ? "rendering the template takes too long"
                                : "the template is too deep, or needs too much memory");
    }
    return understand(answer, out, warnings, err);
}
