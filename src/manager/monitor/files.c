/* See files.h. */
#include "manager/monitor/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void files_resolve(const struct monitor *m, const char *path, char out[TABLE_PATH])
{
    int n = path[0] == '/' ? snprintf(out, TABLE_PATH, "%s", path)
                           : snprintf(out, TABLE_PATH, "%s/%s", m->dir, path);
    if (n >= TABLE_PATH)
        out[0] = '\0'; /* a path that was cut is another path */
}

/* The name with .j2 wins unless only the other one is there. */
static void default_template(const struct monitor *m, char out[TABLE_PATH])
{
    struct stat st;
    char plain[TABLE_PATH];
    files_resolve(m, "user_config_template.yaml", plain);
    files_resolve(m, "user_config_template.yaml.j2", out);
    if (stat(out, &st) != 0 && stat(plain, &st) == 0)
        memcpy(out, plain, sizeof(plain));
}

void files_path(const struct monitor *m, enum table_file which, char out[TABLE_PATH])
{
    const struct table_settings *s = &m->set;
    out[0] = '\0';
    switch (which) {
    case TABLE_CONFIG:
        files_resolve(m, "config.yaml", out);
        break;
    case TABLE_TEMPLATE:
        if (s->template_path[0])
            files_resolve(m, s->template_path, out);
        else
            default_template(m, out);
        break;
    case TABLE_SCHEMA:
        files_resolve(m, s->schema_path[0] ? s->schema_path : "user_config_schema.json", out);
        break;
    case TABLE_MAPPING:
        if (s->mapping_path[0])
            files_resolve(m, s->mapping_path, out);
        break;
    case TABLE_TOKENS:
        break;
    }
}

static int check(const struct monitor *m, int fd, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno(err, "cannot examine %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, "%s is not a regular file", path);
    if (!m->can_change_user)
        return 0;
    /* Whoever can write these files decides what runs as other users. */
    if (st.st_uid != 0 && st.st_uid != m->uid)
        return err_set(err,
                       "%s belongs to uid %u; it must belong to root or to the manager's own "
                       "account (chown root it)",
                       path, (unsigned)st.st_uid);
    if (st.st_mode & S_IWOTH)
        return err_set(err, "%s can be written by everybody; use chmod o-w", path);
    return 0;
}

static int open_checked(const struct monitor *m, const char *path, struct err *err)
{
    if (!path[0])
        return err_code(err, ENOENT, "no such file is configured");
    /* Non-blocking for the open alone: it might be a FIFO. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return err_errno(err, "cannot open %s", path);
    if (check(m, fd, path, err) == 0 && fcntl(fd, F_SETFL, 0) == 0)
        return fd;
    close(fd);
    return -1;
}

/* The tokens came as a memory file that we hold; each reader gets an offset of its own. */
static int open_tokens(const struct monitor *m, struct err *err)
{
    char path[64];
    if (m->opt.tokens_fd < 0)
        return err_code(err, ENOENT, "there are no tokens");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", m->opt.tokens_fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? err_errno(err, "cannot open the tokens") : fd;
}

int files_open(const struct monitor *m, enum table_file which, struct err *err)
{
    char path[TABLE_PATH];
    if (which == TABLE_TOKENS)
        return open_tokens(m, err);
    files_path(m, which, path);
    return open_checked(m, path, err);
}

int files_open_environment(const struct monitor *m, struct err *err)
{
    char path[TABLE_PATH];
    const char *configured = m->set.environment_path;
    files_resolve(m, configured[0] ? configured : "user_environment.yaml", path);
    return open_checked(m, path, err);
}
