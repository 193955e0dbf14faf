#include "endpoint/journal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"

#define FILE_MAX (256u << 20)
#define HEAD_MAX (128u << 10)
#define TASKS_MAX 200000

struct journal {
    char *dir;
};

struct journal *journal_open(const char *dir)
{
    struct journal *j = xcalloc(1, sizeof(*j));
    j->dir = xasprintf("%s/accepted_tasks", dir);
    return j;
}

void journal_close(struct journal *j)
{
    if (j == NULL)
        return;
    free(j->dir);
    free(j);
}

static char *path_of(const struct journal *j, const char *id)
{
    return xasprintf("%s/%s", j->dir, id);
}

static int write_file(struct journal *j, struct task *t, bool sync, struct err *err)
{
    autofree char *path = path_of(j, t->id);
    autobuf struct buf text = BUF_INIT;
    autojson struct json_object *head = json_object_new_object();
    json_add_str(head, "function", t->function_id);
    json_add(head, "spec", json_object_get(t->spec));
    json_add(head, "serializers", json_object_get(t->serializers));
    json_write(&text, head);
    buf_char(&text, '\n');
    buf_add(&text, t->body, t->body_len);
    if (fs_mkdirs(j->dir, 0700, err) != 0 ||
        fs_write(path, text.data, text.len, 0600, sync, err) != 0)
        return -1;
    amqp_message_free(t->message);
    t->message = NULL;
    t->body = NULL;
    return 0;
}

int journal_add(struct journal *j, struct task *t, struct err *err)
{
    /* A spilled one is read and written again: this time it must last. */
    if (journal_load(j, t, err) != 0 || write_file(j, t, true, err) != 0)
        return -1;
    free(t->journal_body);
    t->journal_body = NULL;
    t->journaled = true;
    return 0;
}

int journal_spill(struct journal *j, struct task *t, struct err *err)
{
    if (write_file(j, t, false, err) != 0)
        return -1;
    t->spilled = true;
    return 0;
}

/* The file as its head (new object) and where the body begins. */
static struct json_object *read_file(const char *path, struct buf *text, size_t *body_at,
                                     struct err *err)
{
    if (fs_read(path, FILE_MAX, text, err) != 0)
        return NULL;
    const char *end = text->len > 0 ? memchr(text->data, '\n', text->len) : NULL;
    if (end == NULL) {
        err_set(err, "%s is not a task's file", path);
        return NULL;
    }
    *body_at = (size_t)(end - text->data) + 1;
    return json_read(text->data, *body_at - 1, HEAD_MAX, path, err);
}

int journal_load(struct journal *j, struct task *t, struct err *err)
{
    autofree char *path = path_of(j, t->id);
    struct buf text = BUF_INIT;
    size_t at;
    if (t->body != NULL)
        return 0;
    autojson struct json_object *head = read_file(path, &text, &at, err);
    if (head == NULL) {
        buf_free(&text);
        return -1;
    }
    t->body_len = text.len - at;
    t->journal_body = buf_take(&text);
    t->body = t->journal_body + at;
    return 0;
}

void journal_unload(struct task *t)
{
    if (t->journal_body == NULL)
        return;
    free(t->journal_body);
    t->journal_body = NULL;
    t->body = NULL;
}

static struct task *replay_one(struct journal *j, const char *name)
{
    autofree char *path = path_of(j, name);
    autobuf struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    char id[UUID_TEXT];
    size_t at;
    if (!uuid_parse(name, id) || strcmp(id, name) != 0)
        return NULL;
    autojson struct json_object *head = read_file(path, &text, &at, &err);
    if (head == NULL) {
        log_error("an accepted task can't be read back: %s", err.text);
        return NULL;
    }
    struct task *t = task_new(id);
    strncpy(t->function_id, json_str_or(head, "function", ""), sizeof(t->function_id) - 1);
    task_set_spec(t, json_object_get(json_at(head, "spec")));
    t->serializers = json_object_get(json_at(head, "serializers"));
    t->body_len = text.len - at;
    t->journaled = true;
    return t;
}

void journal_replay(struct journal *j, journal_found_f *found, void *arg)
{
    DIR *d = opendir(j->dir);
    struct dirent *e;
    int n = 0;
    while (d != NULL && n < TASKS_MAX && (e = readdir(d)) != NULL) {
        struct task *t = e->d_name[0] != '.' ? replay_one(j, e->d_name) : NULL;
        if (t == NULL)
            continue;
        n++;
        found(arg, t);
    }
    if (d != NULL)
        closedir(d);
    if (n > 0)
        log_info("%d tasks of an earlier run are taken up again", n);
}

void journal_drop(struct journal *j, const char *id)
{
    autofree char *path = path_of(j, id);
    if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
        log_warning("cannot remove %s: %s", path, strerror(errno));
}
