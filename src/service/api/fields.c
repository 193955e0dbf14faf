/* Members of request bodies, checked; the sentence names the member and what was found. */
#include <string.h>

#include "service/api/private.h"

static bool wrong(struct call *c, const char *key, struct json_object *v, const char *wanted)
{
    call_error(c, 422, "SEMANTICALLY_INVALID",
               "Request payload failed validation: %s is %s; it has to be %s", key, json_kind(v),
               wanted);
    return false;
}

static bool missing(struct call *c, const char *key)
{
    call_error(c, 400, "REQUEST_KEY_ERROR", "The request body lacks the key %s", key);
    return false;
}

bool field_str(struct call *c, struct json_object *o, const char *key, size_t max, bool required,
               const char **out)
{
    struct json_object *v = NULL;
    json_object_object_get_ex(o, key, &v);
    *out = NULL;
    if (!v)
        return required ? missing(c, key) : true;
    if (!json_object_is_type(v, json_type_string))
        return wrong(c, key, v, "a string");
    size_t n = (size_t)json_object_get_string_len(v);
    const char *s = json_object_get_string(v);
    if (n > max || strlen(s) != n) {
        call_error(c, 422, "SEMANTICALLY_INVALID", "Request payload failed validation: %s is %s",
                   key, n > max ? "too long" : "not plain text");
        return false;
    }
    *out = s;
    return true;
}

bool field_bool(struct call *c, struct json_object *o, const char *key, bool *out)
{
    struct json_object *v = NULL;
    json_object_object_get_ex(o, key, &v);
    if (!v)
        return true;
    if (!json_object_is_type(v, json_type_boolean))
        return wrong(c, key, v, "true or false");
    *out = json_object_get_boolean(v);
    return true;
}

bool field_uuid(struct call *c, struct json_object *o, const char *key, bool required,
                char out[UUID_TEXT])
{
    const char *s;
    out[0] = '\0';
    if (!field_str(c, o, key, 100, required, &s))
        return false;
    if (!s || uuid_parse(s, out))
        return true;
    call_error(c, 422, "SEMANTICALLY_INVALID",
               "Request payload failed validation: %s is not a UUID: %.60s", key, s);
    return false;
}

bool field_obj(struct call *c, struct json_object *o, const char *key, bool required,
               struct json_object **out)
{
    *out = NULL;
    json_object_object_get_ex(o, key, out);
    if (!*out)
        return required ? missing(c, key) : true;
    return json_object_is_type(*out, json_type_object) || wrong(c, key, *out, "an object");
}

bool field_uuids(struct call *c, struct json_object *o, const char *key, struct json_object **out)
{
    struct json_object *v = NULL;
    json_object_object_get_ex(o, key, &v);
    *out = NULL;
    if (!v)
        return true;
    if (!json_object_is_type(v, json_type_array))
        return wrong(c, key, v, "a list of UUIDs");
    size_t n = json_object_array_length(v);
    struct json_object *list = n ? json_object_new_array() : NULL;
    for (size_t i = 0; i < n; i++) {
        struct json_object *item = json_object_array_get_idx(v, i);
        char id[UUID_TEXT];
        if (!json_object_is_type(item, json_type_string) ||
            !uuid_parse(json_object_get_string(item), id)) {
            json_object_put(list);
            call_error(c, 422, "SEMANTICALLY_INVALID",
                       "Request payload failed validation: %s has a member that is not a UUID",
                       key);
            return false;
        }
        json_object_array_add(list, json_object_new_string(id));
    }
    *out = list;
    return true;
}
