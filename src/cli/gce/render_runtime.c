/* See render_runtime.h. */
#include "cli/gce/render_runtime.h"

#include <string.h>
#include <sys/utsname.h>

#include "lib/base/alloc.h"
#include "lib/base/loop.h"
#include "lib/base/spawn.h"
#include "lib/config/config.h"
#include "lib/python/python.h"

#define PYTHON_TIMEOUT_US 5000000

/* The same calls as in the SDK's create_user_runtime(). */
static const char script[] =
    "import json, platform, sys\n"
    "try:\n"
    "    from globus_sdk import __version__ as globus\n"
    "except Exception:\n"
    "    globus = ''\n"
    "print(json.dumps({'globus_sdk_version': globus, 'python_version': sys.version, 'python': {\n"
    "    'version': platform.python_version(), 'version_description': sys.version,\n"
    "    'version_tuple': sys.version_info[:3], 'version_info': tuple(sys.version_info),\n"
    "    'implementation': platform.python_implementation(),\n"
    "    'compiler': platform.python_compiler()},\n"
    "  'platform': {'architecture': platform.architecture(), 'machine': platform.machine(),\n"
    "    'node': platform.node(), 'platform': platform.platform(),\n"
    "    'processor': platform.processor(), 'release': platform.release()}}))\n";

struct answer {
    struct loop *loop;
    struct json_object *found;
};

static void done_cb(void *arg, const struct spawn_result *r)
{
    struct answer *a = arg;
    if (r->exit_code == 0)
        a->found = json_read(r->out, r->out_len, 1 << 16, "python", NULL);
    loop_stop(a->loop, 0);
}

static struct json_object *from_python(void)
{
    autofree char *python = python_find(NULL);
    struct answer a = {0};
    if (python == NULL)
        return NULL;
    const char *const argv[] = {python, "-c", script, NULL};
    const struct spawn_opts opts = {.argv = argv, .timeout_us = PYTHON_TIMEOUT_US};
    a.loop = loop_create();
    if (a.loop != NULL && spawn_start(a.loop, &opts, done_cb, &a, NULL) != NULL)
        loop_run(a.loop);
    loop_destroy(a.loop);
    return a.found;
}

static struct json_object *from_kernel(void)
{
    struct utsname u;
    struct json_object *o = json_object_new_object();
    struct json_object *platform = json_object_new_object();
    if (uname(&u) == 0) {
        json_add_str(platform, "machine", u.machine);
        json_add_str(platform, "node", u.nodename);
        json_add_str(platform, "processor", "");
        json_add_str(platform, "release", u.release);
    }
    json_add(o, "platform", platform);
    return o;
}

struct json_object *render_runtime(void)
{
    struct json_object *o = from_python();
    if (!json_object_is_type(o, json_type_object)) {
        json_object_put(o);
        o = from_kernel();
    }
    json_add_str(o, "globus_compute_sdk_version", COMPUTE_VERSION);
    return o;
}
