/* audit verify: the hash chain of audit logs, oldest first. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/sallyport/commands.h"
#include "lib/audit/audit.h"
#include "lib/cli/show.h"

static bool is_hash(const char *text)
{
    return strlen(text) == AUDIT_HASH_TEXT - 1 &&
           strspn(text, "0123456789abcdef") == AUDIT_HASH_TEXT - 1;
}

static void add_file(struct json_object *files, const char *path, const struct audit_report *r)
{
    struct json_object *o = json_object_new_object();
    json_add_str(o, "file", path);
    json_add_int(o, "lines", (int64_t)r->lines);
    json_add_int(o, "chained", (int64_t)r->chained);
    json_add_str(o, "first", r->chained ? r->first : NULL);
    json_add_str(o, "last", r->chained ? r->last : NULL);
    json_object_array_add(files, o);
}

/* Follows the chain through all files; what it found is in `files`. */
static int follow(const struct args *a, struct json_object *files, struct err *err)
{
    const char *end = args_get(a, "--last"), *path;
    char at[AUDIT_HASH_TEXT] = "";
    if (args_has(a, "--after"))
        snprintf(at, sizeof(at), "%s", args_get(a, "--after"));
    for (size_t i = 0; (path = args_operand(a, i)) != NULL; i++) {
        struct audit_report r;
        if (audit_verify(path, at[0] ? at : NULL, &r, err) < 0)
            return -1;
        add_file(files, path, &r);
        if (r.chained == 0)
            return err_set(err,
                           "%s has no hash chain; `audit_hash_chain: true` in config.yaml "
                           "writes one from then on",
                           path);
        snprintf(at, sizeof(at), "%s", r.last);
    }
    if (end && strcmp(end, at) != 0)
        return err_set(err, "the chain ends with %s, not with %s: lines at the end are missing", at,
                       end);
    return 0;
}

static void print_file(struct json_object *o)
{
    int64_t lines = json_object_get_int64(json_at(o, "lines"));
    int64_t chained = json_object_get_int64(json_at(o, "chained"));
    printf("%s: %" PRId64 " line%s, %" PRId64 " in the chain, none changed, missing or added\n",
           json_str_or(o, "file", ""), lines, lines == 1 ? "" : "s", chained);
    printf("  last hash %s\n", json_str_or(o, "last", "none"));
}

int cmd_audit_verify(const struct args *a)
{
    static const char *const hashes[] = {"--after", "--last"};
    struct err err = ERR_INIT;
    for (size_t i = 0; i < 2; i++)
        if (args_has(a, hashes[i]) && !is_hash(args_get(a, hashes[i])))
            return usage(a->command, "%s: a hash of 64 hexadecimal digits is wanted.", hashes[i]);
    autojson struct json_object *o = json_object_new_object();
    struct json_object *files = json_object_new_array();
    int rc = follow(a, files, &err);
    json_add_bool(o, "ok", rc == 0);
    json_add(o, "files", files);
    json_add_str(o, "error", rc == 0 ? NULL : err.text);
    if (args_has(a, "--json"))
        show_json(o);
    for (size_t i = 0; !args_has(a, "--json") && i < json_object_array_length(files); i++)
        if (rc == 0 || i + 1 < json_object_array_length(files))
            print_file(json_object_array_get_idx(files, i));
    if (rc == 0 || args_has(a, "--json"))
        return rc == 0 ? 0 : 1;
    return fail("%s", err.text);
}
