#include "endpoint/preview.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "endpoint/blocks/blocks.h"
#include "endpoint/engine.h"
#include "endpoint/nodes.h"
#include "endpoint/settings.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/loop.h"

/* The rules of idle.h, in seconds. */
static struct json_object *idle(const struct settings *s)
{
    if (s->idle_soft <= 0)
        return NULL;
    struct json_object *o = json_object_new_object();
    json_add_double(o, "soft_s", (double)s->idle_soft * s->heartbeat_period);
    json_add_double(o, "hard_s", (double)s->idle_hard * s->heartbeat_period);
    return o;
}

static void add_lines(struct json_object *list, const char *line)
{
    while (line != NULL && *line != '\0') {
        size_t n = strcspn(line, "\n");
        json_object_array_add(list, json_object_new_string_len(line, (int)n));
        line += n + (line[n] == '\n');
    }
}

static struct json_object *warnings(const struct settings *s, const struct engine *e)
{
    struct json_object *list = json_object_new_array();
    add_lines(list, s->warnings.data);
    add_lines(list, e->warnings.data);
    return list;
}

static struct json_object *describe(const char *dir, const struct settings *s,
                                    const struct engine *e, struct err *err)
{
    autofree char *key_file = nodes_key_file(e, dir);
    int port = e->port > 0 ? e->port : e->port_from;
    autofree char *command = engine_command(e, dir, port, key_file, s->debug);
    struct loop *l = loop_create();
    struct json_object *o =
        blocks_preview(l,
                       &(struct blocks_opts){.provider = e->provider,
                                             .label = e->label,
                                             .dir = dir,
                                             .slots_per_node = e->slots_per_node,
                                             .command = command},
                       err);
    loop_destroy(l);
    if (o == NULL)
        return NULL;
    json_add_str(o, "engine", e->type);
    json_add(o, "idle", idle(s));
    json_add(o, "warnings", warnings(s, e));
    return o;
}

int preview_print(const char *name, const struct document *d)
{
    struct err err = ERR_INIT;
    struct settings s = {.tree = NULL};
    struct engine e = {.type = NULL};
    autobuf struct buf text = BUF_INIT;
    const char *dir = getenv("GLOBUS_COMPUTE_ENDPOINT_DIR"); /* prepare has set it */
    struct json_object *o = NULL;
    if (settings_read(d->config, name, &s, &err) == 0 && engine_read(s.engine, &e, &err) == 0)
        o = describe(dir != NULL ? dir : "/", &s, &e, &err);
    if (o == NULL) {
        o = json_object_new_object();
        json_add_str(o, "error", err.text);
    }
    json_write(&text, o);
    json_object_put(o);
    engine_clear(&e);
    settings_clear(&s);
    return fs_write_all(STDOUT_FILENO, text.data, text.len) == 0 ? 0 : 1;
}
