/* Which user endpoints should be there: EPDIR/children.state names those of a manager (see
 * manager/monitor/state.h for its lines), and a directory of the base with a status.sock is one
 * that runs under this account.
 *
 * The state file holds keys: it is read into a buffer that is wiped before anything is forked. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/gce/top.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/proc.h"

#define STATE_MAX (64u << 20)
#define FIELDS 12
#define UEPS_MAX 10000

static struct uep *add(struct site *s)
{
    s->ueps = xrealloc(s->ueps, (s->count + 1) * sizeof(*s->ueps));
    struct uep *u = &s->ueps[s->count++];
    *u = (struct uep){.rate = -1};
    return u;
}

static int read_state(const char *epdir, struct buf *text, struct err *err)
{
    struct stat st;
    autofree char *path = xasprintf("%s/children.state", epdir);
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, "cannot open %s", path);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
        return err_set(err, "%s is not a file of this account, so it is not believed", path);
    return fs_read_fd(fd, STATE_MAX, path, text, err);
}

/* A line of one that lives; its fields, or false. */
static bool is_alive(char *line, char *field[FIELDS])
{
    for (int i = 0; i < FIELDS; i++)
        if (!(field[i] = strsep(&line, "\t")))
            return false;
    uint64_t began = strtoull(field[2], NULL, 10);
    return strcmp(field[0], "+") == 0 && began > 0 &&
           proc_start_time((pid_t)strtol(field[1], NULL, 10)) == began;
}

/* Calls take for each that lives.  0, or -1 with err. */
static int each_child(const char *epdir, void (*take)(void *arg, char **field), void *arg,
                      struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    char boot[PROC_BOOT_ID];
    char *field[FIELDS], *line;
    if (read_state(epdir, &text, err) < 0)
        return -1;
    autofree char *own = NULL;
    size_t size = text.len;
    char *all = own = buf_take(&text);
    proc_boot_id(boot);
    line = strsep(&all, "\n");
    if (strncmp(line, "boot\t", 5) == 0 && strcmp(line + 5, boot) == 0)
        while ((line = strsep(&all, "\n")))
            if (is_alive(line, field))
                take(arg, field);
    explicit_bzero(own, size);
    return 0;
}

static void count_child(void *arg, char **field)
{
    (void)field;
    ++*(int *)arg;
}

int find_children_count(const char *epdir)
{
    int n = 0;
    return each_child(epdir, count_child, &n, NULL) < 0 ? -1 : n;
}

static bool is_plain_name(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/');
}

static void add_child(void *arg, char **field)
{
    struct site *s = arg;
    if (s->count >= UEPS_MAX || !is_plain_name(field[8]))
        return;
    struct uep *u = add(s);
    u->pid = (pid_t)strtol(field[1], NULL, 10);
    u->uid = (uid_t)strtoul(field[3], NULL, 10);
    u->gid = (gid_t)strtoul(field[4], NULL, 10);
    u->user = xstrdup(field[7]);
    u->name = xstrdup(field[8]);
    u->id = strcmp(field[10], "-") == 0 ? NULL : xstrdup(field[10]);
}

static bool is_known(const struct view *v, const char *name, uid_t uid)
{
    for (size_t i = 0; i < v->count; i++)
        for (size_t k = 0; k < v->sites[i].count; k++)
            if (v->sites[i].ueps[k].uid == uid && strcmp(v->sites[i].ueps[k].name, name) == 0)
                return true;
    return false;
}

/* A directory with a status.sock: its owner is whom the question is asked as. */
static void add_here(const struct view *v, struct site *s, const char *dir)
{
    struct stat st;
    autofree char *path = xasprintf("%s/status.sock", dir);
    if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode) || s->count >= UEPS_MAX ||
        is_known(v, epdir_name(dir), st.st_uid))
        return;
    const struct passwd *pw = getpwuid(st.st_uid);
    struct uep *u = add(s);
    u->uid = st.st_uid;
    u->gid = pw ? pw->pw_gid : st.st_gid;
    u->user = pw ? xstrdup(pw->pw_name) : xasprintf("%u", (unsigned)st.st_uid);
    u->name = xstrdup(epdir_name(dir));
    u->dir = xstrdup(dir);
}

static struct site *new_site(struct view *v, const char *dir, const char *name)
{
    v->sites = xrealloc(v->sites, (v->count + 1) * sizeof(*v->sites));
    struct site *s = &v->sites[v->count++];
    *s = (struct site){.dir = xstrdup(dir)};
    s->name = name ? name : epdir_name(s->dir);
    return s;
}

static void add_managed(struct view *v, const char *epdir)
{
    struct err err = ERR_INIT;
    struct site *s = new_site(v, epdir, NULL);
    s->id = epdir_id(epdir, NULL);
    s->status = epdir_status(epdir);
    if (each_child(epdir, add_child, s, &err) < 0)
        s->error = xstrdup(err.text);
}

static void add_unmanaged(struct view *v)
{
    struct site here = {.dir = NULL};
    const struct dirent *e;
    DIR *d = opendir(epdir_base());
    while (d && (e = readdir(d))) {
        autofree char *dir = xasprintf("%s/%s", epdir_base(), e->d_name);
        if (e->d_name[0] != '.')
            add_here(v, &here, dir);
    }
    if (d)
        closedir(d);
    if (here.count == 0)
        return;
    struct site *s = new_site(v, epdir_base(), "-");
    s->ueps = here.ueps;
    s->count = here.count;
    s->status = EP_RUNNING;
}

static int by_user(const void *a, const void *b)
{
    const struct uep *x = a, *y = b;
    int order = strcmp(x->user, y->user);
    return order ? order : strcmp(x->name, y->name);
}

void find_sites(struct view *v, const char *epdir)
{
    if (epdir) {
        add_managed(v, epdir);
        add_here(v, &v->sites[0], epdir);
    } else {
        char **list = epdir_list();
        for (char **at = list; *at; at++)
            add_managed(v, *at);
        epdir_list_free(list);
        add_unmanaged(v);
    }
    for (size_t i = 0; i < v->count; i++)
        if (v->sites[i].count > 1)
            qsort(v->sites[i].ueps, v->sites[i].count, sizeof(struct uep), by_user);
}
