/* The engine option python: which interpreter runs the workers of which users. */
#include <ctype.h>
#include <string.h>

#include "endpoint/engine.h"
#include "lib/base/buf.h"
#include "lib/python/python.h"

static int check_row(const char *key, struct json_object *value, struct err *err)
{
    char release[PYTHON_RELEASE_TEXT];
    bool named = python_release(key, release) && strcmp(release, key) == 0;
    if (!named && strcmp(key, "default") != 0)
        return err_set(err,
                       "engine option python has the key '%s'; its keys are releases such as "
                       "\"3.12\" (in quotes), and default",
                       key);
    if (!json_object_is_type(value, json_type_string) || *json_object_get_string(value) == '\0')
        return err_set(err, "engine option python names no interpreter for %s", key);
    return 0;
}

int engine_check_python(const struct engine *e, const char *user, struct err *err)
{
    struct json_object *table = json_at(e->options, "python");
    char release[PYTHON_RELEASE_TEXT];
    autobuf struct buf known = BUF_INIT;
    if (table == NULL)
        return 0;
    json_object_object_foreach(table, key, value)
    {
        if (check_row(key, value, err) != 0)
            return -1;
        if (strcmp(key, "default") != 0)
            buf_fmt(&known, "%s%s", known.len > 0 ? ", " : "", key);
    }
    if (!python_release(user, release) || json_at(table, "default") != NULL ||
        json_object_object_get_ex(table, release, NULL))
        return 0;
    return err_set(err,
                   "this endpoint runs workers with Python %s, and you use Python %s: submit from "
                   "one of these, or ask the endpoint's administrator for Python %s",
                   known.len > 0 ? known.data : "(none)", user, release);
}
