/* self-diagnostic: what somebody who helps from afar asks for first, on standard output or in a
 * compressed file.  Credentials stay out: URLs are masked, and of user_environment.yaml only names
 * and search paths are shown. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/gce/commands.h"
#include "cli/gce/epdir.h"
#include "cli/gce/remote.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/paths.h"
#include "lib/cli/show.h"

#define COMMAND_TIMEOUT_S 15
#define LOG_KB 5120
#define FILE_KB 1024
#define TITLE_BEGIN "== Diagnostic: "
#define TITLE_END " ==\n"
#define WHOLE_MAX (1u << 30)

static void title(const char *text)
{
    printf(TITLE_BEGIN "%s" TITLE_END, text);
    fflush(stdout);
}

/* Output and errors of a program, for at most COMMAND_TIMEOUT_S. */
static void command(const char *const *argv)
{
    int status = 0;
    autobuf struct buf shown = BUF_INIT;
    for (const char *const *word = argv; *word; word++) {
        const char *slash = word == argv ? strrchr(*word, '/') : NULL;
        buf_fmt(&shown, "%s%s", word == argv ? "" : " ", slash ? slash + 1 : *word);
    }
    title(shown.data);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        dup2(null, STDIN_FILENO);
        dup2(STDOUT_FILENO, STDERR_FILENO);
        alarm(COMMAND_TIMEOUT_S);
        execvp(argv[0], (char *const *)argv);
        printf("%s\n", strerror(errno));
        fflush(stdout);
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status))
        printf("(ended by %s)\n", strsignal(WTERMSIG(status)));
    else if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        printf("(exit status %d)\n", WEXITSTATUS(status));
    putchar('\n');
}

/* A line of user_environment.yaml: sites put tokens there. */
static void hide_value(char *line)
{
    char *colon = strchr(line, ':');
    const char *name = line + strspn(line, " \t");
    bool is_path = colon && colon - name >= 4 && strncmp(colon - 4, "PATH", 4) == 0;
    if (!colon || *name == '#' || is_path || colon[1 + strspn(colon + 1, " \t\n")] == '\0')
        return;
    snprintf(colon, strlen(colon) + 1, ": *\n");
}

/* The last `kb` of a file, line by line. */
static void file(const char *path, long kb, bool hide_values)
{
    struct stat st;
    size_t size = 0;
    autofree char *line = NULL;
    title(path);
    FILE *f = fopen(path, "re");
    if (!f || fstat(fileno(f), &st) < 0) {
        printf("(%s)\n\n", strerror(errno));
        if (f)
            fclose(f);
        return;
    }
    printf("(%lld bytes, mode %04o, uid %u)\n", (long long)st.st_size, st.st_mode & 07777,
           (unsigned)st.st_uid);
    if (S_ISREG(st.st_mode) && st.st_size > kb * 1024) {
        fseek(f, -kb * 1024, SEEK_END);
        if (getline(&line, &size, f) >= 0)
            printf(" | (what came before is left out)\n");
    }
    while (getline(&line, &size, f) >= 0) {
        if (hide_values)
            hide_value(line);
        autofree char *masked = log_mask(line);
        size_t n = strlen(masked);
        printf(" | %s%s", masked, n && masked[n - 1] == '\n' ? "" : "\n");
    }
    fclose(f);
    putchar('\n');
}

static void endpoint(const char *epdir, long log_kb)
{
    static const char *const names[] = {"config.yaml",
                                        "user_config_template.yaml.j2",
                                        "user_config_template.yaml",
                                        "user_config_schema.json",
                                        "example_identity_mapping_config.json",
                                        "identity_mapping_config.json",
                                        NULL};
    for (size_t i = 0; names[i]; i++) {
        autofree char *path = xasprintf("%s/%s", epdir, names[i]);
        if (access(path, F_OK) == 0)
            file(path, FILE_KB, false);
    }
    autofree char *environment = xasprintf("%s/user_environment.yaml", epdir);
    autofree char *log = xasprintf("%s/endpoint.log", epdir);
    if (access(environment, F_OK) == 0)
        file(environment, FILE_KB, true);
    if (log_kb > 0 && access(log, F_OK) == 0)
        file(log, log_kb, false);
}

static void web_service(void)
{
    struct remote_result r;
    title("web service");
    remote_call(NULL, "version", NULL, NULL, &r);
    if (r.ok)
        printf("%s\n\n", json_object_to_json_string(r.answer));
    else
        printf("%s\n\n", r.message);
    remote_free(&r);
}

static void everything(long log_kb)
{
    autofree char *self = paths_bin("globus-compute-endpoint");
    command((const char *const[]){self, "version", NULL});
    command((const char *const[]){"uname", "-a", NULL});
    file("/etc/os-release", FILE_KB, false);
    command((const char *const[]){"id", NULL});
    command((const char *const[]){"date", NULL});
    command((const char *const[]){"df", "-h", epdir_base(), "/tmp", NULL});
    command((const char *const[]){"ls", "-la", epdir_base(), NULL});
    command((const char *const[]){"python3", "--version", NULL});
    command((const char *const[]){"ip", "addr", NULL});
    command((const char *const[]){"ip", "route", NULL});
    web_service();
    command((const char *const[]){self, "whoami", NULL});
    command((const char *const[]){self, "list", NULL});
    char **list = epdir_list();
    for (char **at = list; *at; at++)
        endpoint(*at, log_kb);
    epdir_list_free(list);
}

/* Standard output becomes a pipe to gzip, which writes to the new file; its pid, or -1. */
static pid_t compress_into(const char *path)
{
    int ends[2];
    autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[0], STDIN_FILENO);
        dup2(fd, STDOUT_FILENO);
        execlp("gzip", "gzip", "-c", (char *)NULL);
        _exit(127);
    }
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    return pid;
}

static int into_file(long log_kb)
{
    char stamp[32], path[96];
    int status = 0;
    time_t now = time(NULL);
    strftime(stamp, sizeof(stamp), "%Y-%m-%d-%H-%M-%S", localtime(&now));
    snprintf(path, sizeof(path), "globus_compute_diagnostic_%s.txt.gz", stamp);
    autoclose int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    pid_t pid = compress_into(path);
    if (pid < 0)
        return fail("%s can't be made: %s", path, strerror(errno));
    everything(log_kb);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail("%s is incomplete: gzip failed", path);
    printf("Successfully created %s\n", path);
    return 0;
}

/* The sections of the text. */
static struct json_object *sections(const char *text)
{
    struct json_object *list = json_object_new_array();
    for (const char *at = strstr(text, TITLE_BEGIN); at;) {
        const char *name = at + strlen(TITLE_BEGIN), *end = strstr(name, TITLE_END);
        if (!end)
            break;
        const char *body = end + strlen(TITLE_END), *next = strstr(body, "\n" TITLE_BEGIN);
        size_t n = next ? (size_t)(next - body) : strlen(body);
        struct json_object *one = json_object_new_object();
        json_add(one, "title", json_object_new_string_len(name, (int)(end - name)));
        json_add(one, "text", json_object_new_string_len(body, (int)n));
        json_object_array_add(list, one);
        at = next ? next + 1 : NULL;
    }
    return list;
}

static int as_json(long log_kb)
{
    struct err err = ERR_INIT;
    autobuf struct buf text = BUF_INIT;
    autoclose int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    autoclose int kept = fs_memfd("diagnostic", "", 0, false, &err);
    if (out < 0 || kept < 0 || dup2(kept, STDOUT_FILENO) < 0)
        return fail("no memory for the report: %s", err.text[0] ? err.text : strerror(errno));
    everything(log_kb);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    if (lseek(kept, 0, SEEK_SET) < 0 || fs_read_fd(kept, WHOLE_MAX, "the report", &text, &err) < 0)
        return fail("%s", err.text);
    autojson struct json_object *list = sections(text.data ? text.data : "");
    show_json(list);
    return 0;
}

int cmd_diagnostic(const struct args *a)
{
    if (args_has(a, "--gzip") && args_has(a, "--json"))
        return usage(a->command, "Give either --gzip or --json.");
    const char *kb = args_get(a, "--log-kb");
    long log_kb = kb ? strtol(kb, NULL, 10) : LOG_KB;
    if (args_has(a, "--gzip"))
        return into_file(log_kb);
    if (args_has(a, "--json"))
        return as_json(log_kb);
    everything(log_kb);
    return 0;
}
