/* See remote.h. */
#include "cli/gce/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/cli/cli.h"
#include "cli/gce/epdir.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/paths.h"

#define RESULT_MAX (8u << 20)

/* In the child: never returns. */
static void become(const struct config *config, int result_fd, int input_fd, const char *verb,
                   const char *arg)
{
    char fd[16];
    autofree char *path = paths_libexec("remote");
    snprintf(fd, sizeof(fd), "%d", result_fd);
    fcntl(result_fd, F_SETFD, 0);
    if (input_fd >= 0)
        dup2(input_fd, STDIN_FILENO);
    setenv("GLOBUS_COMPUTE_USER_DIR", epdir_base(), 1);
    if (config && config->local_compute_services)
        setenv("SALLYPORT_COMPUTE_ENVIRONMENT", "local", 1);
    else if (config && config->environment)
        setenv("SALLYPORT_COMPUTE_ENVIRONMENT", config->environment, 1);
    execl(path, path, fd, verb, arg, (char *)NULL);
    fprintf(stderr, "Error: %s can't be run: %s\n", path, strerror(errno));
    _exit(127);
}

static void fill(struct remote_result *r, const struct buf *text)
{
    struct err err = ERR_INIT;
    bool ok = false;
    int64_t status = 0;
    r->kind = "";
    r->tree = json_read(text->data ? text->data : "", text->len, RESULT_MAX,
                        "result of libexec/sallyport/remote", &err);
    if (!r->tree || json_get_bool(r->tree, "ok", &ok, &err) < 0) {
        json_object_put(r->tree);
        r->tree = json_object_new_object();
        json_add_str(r->tree, "message", err.text);
    }
    r->ok = ok;
    json_get_int(r->tree, "status", &status, NULL);
    r->status = (int)status;
    r->kind = json_str_or(r->tree, "kind", "");
    r->body = json_str_or(r->tree, "body", "");
    r->message = json_str_or(r->tree, "message", "unknown failure");
    r->answer = json_at(r->tree, "answer");
}

static int input_of(struct json_object *input)
{
    autobuf struct buf text = BUF_INIT;
    if (!input)
        return -1;
    json_write(&text, input);
    return fs_memfd("remote-input", text.data, text.len, false, NULL);
}

void remote_call(const struct config *config, const char *verb, const char *arg,
                 struct json_object *input, struct remote_result *r)
{
    int ends[2] = {-1, -1};
    autobuf struct buf text = BUF_INIT;
    autoclose int input_fd = input_of(input);
    memset(r, 0, sizeof(*r));
    fflush(NULL);
    pid_t pid = pipe2(ends, O_CLOEXEC) == 0 ? fork() : -1;
    if (pid == 0)
        become(config, ends[1], input_fd, verb, arg);
    if (ends[1] >= 0)
        close(ends[1]);
    if (pid > 0) {
        fs_read_fd(ends[0], RESULT_MAX, "result", &text, NULL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (ends[0] >= 0)
        close(ends[0]);
    fill(r, &text);
    if (text.data)
        explicit_bzero(text.data, text.len);
}

void remote_free(struct remote_result *r)
{
    json_object_put(r->tree);
    r->tree = NULL;
    r->answer = NULL;
}

int remote_fail(const struct remote_result *r)
{
    if (strcmp(r->kind, "auth") == 0) {
        fprintf(stderr, "Error: Auth API error: %s\n", r->message);
        return EX_NOPERM;
    }
    if (strcmp(r->kind, "aborted") == 0) {
        fprintf(stderr, "Aborted!\n");
        return 1;
    }
    return fail("%s", r->message);
}

int remote_signin(const struct config *config)
{
    struct remote_result r;
    remote_call(config, "login", config && config->seed_style ? "seed" : "current", NULL, &r);
    int rc = r.ok ? 0 : remote_fail(&r);
    remote_free(&r);
    return rc;
}
