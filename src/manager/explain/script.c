/* The batch script: `user-endpoint --print-script` as the user, with the environment and the
 * configuration that prepare came to. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/paths.h"
#include "manager/explain/explain.h"

#define ANSWER_MAX (16u << 20)
#define DEADLINE_S 60 /* address_by_query may ask the network */

static int document(struct json_object *start, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    autojson struct json_object *o = json_object_new_object();
    json_add(o, "ep_info", json_object_new_object());
    json_add_str(o, "config", json_str_or(start, "config", ""));
    json_write(&text, o);
    return fs_memfd("document", text.data, text.len, true, err);
}

static char **environment(struct json_object *o)
{
    char **list = xcalloc((size_t)json_object_object_length(o) + 1, sizeof(*list));
    size_t n = 0;
    json_object_object_foreach(o, name, value) list[n++] =
        xasprintf("%s=%s", name, json_object_get_string(value));
    return list;
}

static void run(const struct passwd *pw, struct json_object *start, int in, int out)
    __attribute__((noreturn));

static void run(const struct passwd *pw, struct json_object *start, int in, int out)
{
    autofree char *program = paths_libexec("user-endpoint");
    char *const argv[] = {program, (char *)"--print-script", (char *)"simulated", NULL};
    char **env = environment(json_at(start, "environment"));
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
        _exit(126);
    close_range(3, ~0u, 0);
    alarm(DEADLINE_S);
    if (explain_become(pw) == 0 && chdir("/") == 0)
        execve(program, argv, env);
    _exit(127);
}

/* Is it the one that prepare would exec? */
static bool is_ours(const char *program)
{
    autofree char *gce = paths_bin("globus-compute-endpoint");
    autofree char *uep = paths_libexec("user-endpoint");
    const char *const ours[] = {gce, uep};
    struct stat theirs, st;
    for (size_t i = 0; program && stat(program, &theirs) == 0 && i < 2; i++)
        if (stat(ours[i], &st) == 0 && st.st_dev == theirs.st_dev && st.st_ino == theirs.st_ino)
            return true;
    return false;
}

static struct json_object *read_answer(int out, pid_t pid, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    int status = 0;
    int rc = fs_read_fd(out, ANSWER_MAX, "the batch script", &text, err);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (rc < 0)
        return NULL;
    if (text.len > 0)
        return json_read(text.data, text.len, ANSWER_MAX, "the batch script", err);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        err_set(err, "the user endpoint did not say within %d s what it would submit", DEADLINE_S);
    else
        err_set(err, "the user endpoint did not say what it would submit; can that user run %s?",
                "libexec/sallyport/user-endpoint of this installation");
    return NULL;
}

struct json_object *explain_script(const char *account, struct json_object *start, struct err *err)
{
    int out[2];
    const struct passwd *pw = getpwnam(account);
    autoclose int in = document(start, err);
    if (!pw)
        err_set(err, "the account %s is gone", account);
    if (in < 0 || !pw)
        return NULL;
    if (pipe2(out, O_CLOEXEC) < 0) {
        err_errno(err, "no pipe");
        return NULL;
    }
    pid_t pid = fork();
    if (pid == 0)
        run(pw, start, in, out[1]);
    close(out[1]);
    struct json_object *o =
        pid < 0 ? (err_errno(err, "can't fork"), NULL) : read_answer(out[0], pid, err);
    close(out[0]);
    if (o && !is_ours(json_str_or(start, "program", NULL)))
        json_add_str(o, "note",
                     "the program above is not the one of this installation: its script may "
                     "differ from this one");
    return o;
}
