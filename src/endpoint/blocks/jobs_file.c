#include "endpoint/blocks/jobs_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"

#define FILE_MAX (1 << 20)

struct jobs_file {
    char *path;
    bool sync;
    struct json_object *provider; /* {"type": ..., ...} of ours */
    struct json_object *jobs;     /* ours */
    struct json_object *old_provider, *old_jobs;
};

/* What a cancel command depends on. */
static struct json_object *essence(struct json_object *options)
{
    static const char *const keys[] = {"type", "clusters", "namespace", "image"};
    struct json_object *o = json_object_new_object();
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct json_object *v = json_object_object_get(options, keys[i]);
        if (v != NULL)
            json_object_object_add(o, keys[i], json_object_get(v));
    }
    return o;
}

static bool all_texts(struct json_object *o)
{
    json_object_object_foreach(o, key, value)
    {
        if (*key == '\0' || !json_object_is_type(value, json_type_string))
            return false;
    }
    return true;
}

static void read_old(struct jobs_file *f)
{
    struct err err = ERR_INIT;
    autobuf struct buf text = BUF_INIT;
    if (access(f->path, F_OK) != 0)
        return;
    struct json_object *provider = NULL, *jobs = NULL;
    autojson struct json_object *o =
        fs_read(f->path, FILE_MAX, &text, &err) == 0
            ? json_read(text.data != NULL ? text.data : "", text.len, FILE_MAX, f->path, &err)
            : NULL;
    if (o == NULL || json_get_obj(o, "provider", &provider, &err) != 0 ||
        json_get_obj(o, "jobs", &jobs, &err) != 0 || !all_texts(jobs)) {
        autofree char *aside = xasprintf("%s.damaged", f->path);
        log_warning("the list of batch jobs cannot be read (%s): it is put aside as %s; if jobs of "
                    "an earlier run are left, cancel them by hand",
                    err.text, aside);
        if (rename(f->path, aside) != 0)
            log_warning("cannot rename %s: %s", f->path, strerror(errno));
        return;
    }
    if (json_object_object_length(jobs) == 0)
        return;
    f->old_provider = json_object_get(provider);
    json_object_put(f->old_jobs);
    f->old_jobs = json_object_get(jobs);
}

struct jobs_file *jobs_file_open(const char *dir, struct json_object *options, bool sync)
{
    struct jobs_file *f = xcalloc(1, sizeof(*f));
    *f = (struct jobs_file){.path = xasprintf("%s/batch_jobs.json", dir),
                            .sync = sync,
                            .provider = essence(options),
                            .jobs = json_object_new_object(),
                            .old_jobs = json_object_new_object()};
    read_old(f);
    return f;
}

void jobs_file_close(struct jobs_file *f)
{
    if (f == NULL)
        return;
    json_object_put(f->provider);
    json_object_put(f->jobs);
    json_object_put(f->old_provider);
    json_object_put(f->old_jobs);
    free(f->path);
    free(f);
}

struct json_object *jobs_file_old_provider(const struct jobs_file *f)
{
    return f->old_provider;
}

struct json_object *jobs_file_old_jobs(const struct jobs_file *f)
{
    return f->old_jobs;
}

/* Ours and, until they are gone, those found at the start; nothing to say, no file. */
static void save(struct jobs_file *f)
{
    struct err err = ERR_INIT;
    autobuf struct buf text = BUF_INIT;
    autojson struct json_object *o = json_object_new_object();
    struct json_object *jobs = json_object_new_object();
    json_object_object_foreach(f->old_jobs, old_name, old_id)
        json_object_object_add(jobs, old_name, json_object_get(old_id));
    json_object_object_foreach(f->jobs, name, id)
        json_object_object_add(jobs, name, json_object_get(id));
    json_add(o, "provider",
             json_object_get(json_object_object_length(f->jobs) == 0 && f->old_provider != NULL
                                 ? f->old_provider
                                 : f->provider));
    json_add(o, "jobs", jobs);
    if (json_object_object_length(jobs) == 0) {
        unlink(f->path);
        return;
    }
    json_write(&text, o);
    buf_char(&text, '\n');
    if (fs_write(f->path, text.data, text.len, 0600, f->sync, &err) != 0)
        log_error("the list of batch jobs cannot be kept, a crash may leave jobs behind: %s",
                  err.text);
}

void jobs_file_forget_old(struct jobs_file *f)
{
    json_object_put(f->old_jobs);
    f->old_jobs = json_object_new_object();
    save(f);
}

void jobs_file_add(struct jobs_file *f, const char *name, const char *id)
{
    json_add_str(f->jobs, name, id);
    save(f);
}

void jobs_file_remove(struct jobs_file *f, const char *name)
{
    if (json_object_object_get(f->jobs, name) == NULL)
        return;
    json_object_object_del(f->jobs, name);
    save(f);
}
