/* KubernetesProvider: a block is a pod, made and watched by kubectl (which knows the cluster and
 * the credentials, as the original's client library does from the same files).
 *
 * A pod's job id are eight hexadecimal digits made from the job's name, so that a later process
 * finds the pod of a name. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "endpoint/providers/batch.h"
#include "lib/base/alloc.h"

#define LABEL_MAX 63  /* of a part of a DNS name */
#define NAME_MAX_ 253 /* of a pod's name */
#define LOG_LINES 2000

static const struct option_spec options[] = {
    {"image", OPT_TEXT, NULL},
    {"namespace", OPT_TEXT, "\"default\""},
    {"init_blocks", OPT_INT, "4"},
    {"max_blocks", OPT_INT, "10"},
    {"max_cpu", OPT_NUMBER, "2"},
    {"max_mem", OPT_TEXT, "\"500Mi\""},
    {"init_cpu", OPT_NUMBER, "1"},
    {"init_mem", OPT_TEXT, "\"250Mi\""},
    {"extra_requests", OPT_MAP, NULL},
    {"extra_limits", OPT_MAP, NULL},
    {"pod_name", OPT_TEXT, NULL},
    {"user_id", OPT_TEXT, NULL},
    {"group_id", OPT_TEXT, NULL},
    {"run_as_non_root", OPT_BOOL, "false"},
    {"secret", OPT_TEXT, NULL},
    {"persistent_volumes", OPT_ANY, "[]"},
    {"service_account_name", OPT_TEXT, NULL},
    {"annotations", OPT_MAP, NULL},
    {"cmd_timeout", OPT_INT, "30"},
    {NULL, OPT_ANY, NULL},
};

static bool is_number(const char *text)
{
    return *text != '\0' && strspn(text, "0123456789") == strlen(text) && strlen(text) < 11;
}

static bool is_volume(struct json_object *v)
{
    return json_object_is_type(v, json_type_array) && json_object_array_length(v) == 2 &&
           json_object_is_type(json_object_array_get_idx(v, 0), json_type_string) &&
           json_object_is_type(json_object_array_get_idx(v, 1), json_type_string);
}

static int check(struct json_object *o, struct err *err)
{
    static const char *const ids[] = {"user_id", "group_id"};
    struct json_object *volumes = json_object_object_get(o, "persistent_volumes");
    if (*json_str_or(o, "image", "") == '\0')
        return err_set(err, "provider KubernetesProvider: image is missing, it names the container "
                            "image of the workers");
    for (size_t i = 0; i < 2; i++)
        if (!is_number(json_str_or(o, ids[i], "0")))
            return err_set(err, "provider KubernetesProvider: %s must be a number in quotes",
                           ids[i]);
    bool good = volumes == NULL || json_object_is_type(volumes, json_type_array);
    for (size_t i = 0; good && volumes != NULL && i < json_object_array_length(volumes); i++)
        good = is_volume(json_object_array_get_idx(volumes, i));
    if (!good)
        return err_set(err, "provider KubernetesProvider: persistent_volumes must be a list of "
                            "pairs [claim, directory]");
    return 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

static void id_of(const char *job_name, char out[9])
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (const char *p = job_name; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    snprintf(out, 9, "%08x", h);
}

/* Lower case letters, digits and single hyphens; parts between dots of at most 63. */
static void dns_name(struct buf *out, const char *text)
{
    while (*text != '\0') {
        size_t n = strcspn(text, "."), begin = out->len;
        if (begin > 0)
            buf_char(out, '.');
        size_t first = out->len;
        for (size_t i = 0; i < n && out->len - first < LABEL_MAX; i++) {
            bool plain = isalnum((unsigned char)text[i]) != 0;
            if (!plain && (out->len == first || out->data[out->len - 1] == '-'))
                continue;
            buf_char(out, plain ? (char)tolower((unsigned char)text[i]) : '-');
        }
        while (out->len > first && out->data[out->len - 1] == '-')
            out->data[--out->len] = '\0';
        if (out->len == first && begin > 0)
            out->data[--out->len] = '\0';
        text += n + (text[n] == '.');
    }
}

static void pod_name(struct buf *out, struct provider *p, const struct batch_job *j, const char *id)
{
    dns_name(out, provider_has(p, "pod_name") ? provider_text(p, "pod_name") : j->name);
    if (out->len == 0)
        buf_str(out, "parsl.kube");
    if (out->len > NAME_MAX_ - 9)
        out->len = NAME_MAX_ - 9;
    while (out->len > 0 && (out->data[out->len - 1] == '.' || out->data[out->len - 1] == '-'))
        out->len--;
    buf_fmt(out, ".%s", id);
}

/* ---- the pod --------------------------------------------------------------------------------- */

static struct json_object *map_of(struct json_object *o, const char *key)
{
    struct json_object *child = json_object_new_object();
    json_object_object_add(o, key, child);
    return child;
}

static struct json_object *list_in(struct json_object *o, const char *key)
{
    struct json_object *child = json_object_new_array();
    json_object_object_add(o, key, child);
    return child;
}

static struct json_object *item_of(struct json_object *list)
{
    struct json_object *item = json_object_new_object();
    json_object_array_add(list, item);
    return item;
}

static void resources(struct json_object *into, const struct provider *p, const char *cpu,
                      const char *memory, const char *extra)
{
    autobuf struct buf text = BUF_INIT;
    struct json_object *more = json_object_object_get(p->options, extra);
    batch_number(&text, json_object_object_get(p->options, cpu), 1);
    json_add_str(into, "cpu", text.data);
    json_add_str(into, "memory", provider_text(p, memory));
    if (more == NULL)
        return;
    json_object_object_foreach(more, key, value)
        json_object_object_add(into, key, json_object_get(value));
}

static void volumes(struct provider *p, struct json_object *spec, struct json_object *container)
{
    struct json_object *list = json_object_object_get(p->options, "persistent_volumes");
    struct json_object *mounts = list_in(container, "volumeMounts");
    struct json_object *claims = list_in(spec, "volumes");
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *pair = json_object_array_get_idx(list, i);
        const char *name = json_object_get_string(json_object_array_get_idx(pair, 0));
        struct json_object *mount = item_of(mounts), *volume = item_of(claims);
        json_add_str(mount, "mountPath",
                     json_object_get_string(json_object_array_get_idx(pair, 1)));
        json_add_str(mount, "name", name);
        json_add_str(volume, "name", name);
        json_add_str(map_of(volume, "persistentVolumeClaim"), "claimName", name);
    }
}

static void security(struct provider *p, struct json_object *container)
{
    if (*provider_text(p, "user_id") == '\0' || *provider_text(p, "group_id") == '\0')
        return;
    struct json_object *context = map_of(container, "securityContext");
    json_add_int(context, "runAsGroup", strtoll(provider_text(p, "group_id"), NULL, 10));
    json_add_int(context, "runAsUser", strtoll(provider_text(p, "user_id"), NULL, 10));
    json_add_bool(context, "runAsNonRoot", provider_bool(p, "run_as_non_root"));
}

static void container_of(struct provider *p, const struct batch_job *j, const char *id,
                         struct json_object *spec)
{
    struct json_object *container = item_of(list_in(spec, "containers"));
    autofree char *text = xasprintf("%s\n\n%s\n", provider_text(p, "worker_init"), j->script);
    json_add_str(container, "name", id);
    json_add_str(container, "image", provider_text(p, "image"));
    json_object_array_add(list_in(container, "command"), json_object_new_string("/bin/bash"));
    struct json_object *args = list_in(container, "args");
    json_object_array_add(args, json_object_new_string("-c"));
    json_object_array_add(args, json_object_new_string(text));
    struct json_object *variable = item_of(list_in(container, "env"));
    json_add_str(variable, "name", "JOBNAME");
    json_add_str(variable, "value", j->name);
    struct json_object *wanted = map_of(container, "resources");
    resources(map_of(wanted, "limits"), p, "max_cpu", "max_mem", "extra_limits");
    resources(map_of(wanted, "requests"), p, "init_cpu", "init_mem", "extra_requests");
    security(p, container);
    volumes(p, spec, container);
}

static void script(struct buf *out, struct provider *p, const struct batch_job *j)
{
    char id[9];
    autobuf struct buf name = BUF_INIT;
    autojson struct json_object *pod = json_object_new_object();
    struct json_object *notes = json_object_object_get(p->options, "annotations");
    id_of(j->name, id);
    pod_name(&name, p, j, id);
    json_add_str(pod, "apiVersion", "v1");
    json_add_str(pod, "kind", "Pod");
    struct json_object *metadata = map_of(pod, "metadata");
    json_add_str(metadata, "name", name.data);
    json_add_str(map_of(metadata, "labels"), "parsl-job-id", id);
    if (notes != NULL)
        json_add(metadata, "annotations", json_object_get(notes));
    struct json_object *spec = map_of(pod, "spec");
    json_add_str(spec, "restartPolicy", "Never");
    container_of(p, j, id, spec);
    if (provider_has(p, "secret"))
        json_add_str(item_of(list_in(spec, "imagePullSecrets")), "name",
                     provider_text(p, "secret"));
    if (provider_has(p, "service_account_name"))
        json_add_str(spec, "serviceAccountName", provider_text(p, "service_account_name"));
    buf_str(out, json_object_to_json_string_ext(pod, JSON_C_TO_STRING_PRETTY |
                                                         JSON_C_TO_STRING_NOSLASHESCAPE));
    buf_char(out, '\n');
}

/* ---- commands -------------------------------------------------------------------------------- */

static void kubectl(struct buf *out, struct provider *p, const char *verb)
{
    buf_fmt(out, "kubectl %s --namespace ", verb);
    command_word(out, provider_text(p, "namespace"));
}

static void submit_command(struct buf *out, struct provider *p, const struct batch_job *j)
{
    kubectl(out, p, "create");
    buf_str(out, " -f ");
    command_word(out, j->path);
}

/* "pod/parsl.x.block-0.1700000000.5.0123abcd created" */
static bool read_id(struct provider *p, const char *answer, struct buf *id)
{
    struct word w[2];
    for (int n; (n = words_of_line(&answer, w, 2)) >= 0;)
        if (n == 2 && w[0].n > 13 && memcmp(w[0].p, "pod/", 4) == 0 && word_is(w[1], "created") &&
            w[0].p[w[0].n - 9] == '.') {
            buf_add(id, w[0].p + w[0].n - 8, 8);
            return true;
        }
    return false;
}

static void selector(struct buf *out, const char *const *ids, size_t n)
{
    buf_str(out, " -l 'parsl-job-id in (");
    for (size_t i = 0; i < n; i++)
        buf_fmt(out, "%s%s", i > 0 ? "," : "", ids[i]);
    buf_str(out, ")'");
}

static void status_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    kubectl(out, p, "get pods");
    selector(out, ids, n);
    buf_str(out, " -o json");
}

static enum job_state state_of(const char *phase)
{
    return strcmp(phase, "Running") == 0     ? JOB_RUNNING
           : strcmp(phase, "Pending") == 0   ? JOB_PENDING
           : strcmp(phase, "Succeeded") == 0 ? JOB_COMPLETED
           : strcmp(phase, "Failed") == 0    ? JOB_FAILED
                                             : JOB_UNKNOWN;
}

/* Why it waits or how it ended: the container's own words before the pod's. */
static void details(struct told *t, struct json_object *status)
{
    struct json_object *list = json_at(status, "containerStatuses");
    struct json_object *first =
        json_object_is_type(list, json_type_array) ? json_object_array_get_idx(list, 0) : NULL;
    struct json_object *code = json_at(first, "state.terminated.exitCode");
    if (t == NULL)
        return;
    if (json_object_is_type(code, json_type_int))
        t->exit_code = json_object_get_int(code);
    told_note(t, json_str_or(status, "reason", NULL));
    told_note(t, json_str_or(first, "state.terminated.reason", NULL));
    told_note(t, json_str_or(first, "state.waiting.reason", NULL));
}

static enum reading read_status(struct provider *p, const struct answer *a, struct asked *asked)
{
    if (a->exit_code != 0)
        return READ_NOTHING;
    autojson struct json_object *o = json_read(a->out, strlen(a->out), 8 << 20, "kubectl", NULL);
    struct json_object *items = json_at(o, "items");
    if (!json_object_is_type(items, json_type_array))
        return READ_NOTHING;
    asked->understood++;
    for (size_t i = 0; i < json_object_array_length(items); i++) {
        struct json_object *pod = json_object_array_get_idx(items, i);
        struct json_object *status = json_at(pod, "status");
        const char *id = json_str_or(pod, "metadata.labels.parsl-job-id", "");
        const char *phase = json_str_or(status, "phase", "");
        details(asked_state(asked, id, strlen(id), state_of(phase)), status);
    }
    return READ_ALL;
}

static void fetch_command(struct buf *out, struct provider *p, const char *id, const char *job_name)
{
    kubectl(out, p, "logs");
    selector(out, &id, 1);
    autofree char *path = xasprintf("%s/%s%s", p->script_dir, job_name, p->kind->out);
    buf_fmt(out, " --tail %d > ", LOG_LINES);
    command_word(out, path);
    buf_str(out, " 2>/dev/null;");
}

static void cancel_command(struct buf *out, struct provider *p, const char *const *ids, size_t n)
{
    kubectl(out, p, "delete pods");
    selector(out, ids, n);
    buf_str(out, " --wait=false --ignore-not-found");
}

static void cancel_old_command(struct buf *out, struct provider *p, const struct old_job *j)
{
    char id[9];
    const char *ids[1] = {id};
    id_of(j->name, id);
    cancel_command(out, p, ids, 1);
}

static const struct batch_kind batch = {
    .script = script,
    .submit_command = submit_command,
    .read_id = read_id,
    .status_command = status_command,
    .read_status = read_status,
    .fetch_command = fetch_command,
    .cancel_command = cancel_command,
    .cancel_old_command = cancel_old_command,
};

const struct provider_kind provider_kubernetes = {
    .type = "KubernetesProvider",
    .poll_s = 60,
    .options = options,
    .far = true,
    .script = ".json",
    .out = ".stdout",
    .err = ".stderr",
    .batch = &batch,
    .check = check,
    .work = &batch_work,
};
