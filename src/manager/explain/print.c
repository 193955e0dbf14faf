/* Answers for people; --json has the same for programs. */
#include <string.h>

#include "lib/base/alloc.h"
#include "manager/explain/explain.h"

void print_json(FILE *out, struct json_object *o)
{
    const int how =
        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE;
    fprintf(out, "%s\n", json_object_to_json_string_ext(o, how));
}

static void print_list(FILE *out, const char *label, struct json_object *list)
{
    for (size_t i = 0; list && i < json_object_array_length(list); i++)
        fprintf(out, "%s%s\n", label, json_object_get_string(json_object_array_get_idx(list, i)));
}

static void print_identity(FILE *out, struct json_object *o)
{
    const char *who = json_str_or(o, "username", json_str_or(o, "id", "?"));
    const char *tested = json_str_or(o, "tested", NULL);
    bool matched = false;
    json_get_bool(o, "matched", &matched, NULL);
    fprintf(out, "    %s", who);
    if (tested && strcmp(tested, who) != 0)
        fprintf(out, " (\"%s\")", tested);
    if (matched)
        fprintf(out, ": matches, name \"%s\"\n", json_str_or(o, "name", ""));
    else
        fprintf(out, ": no: %s\n", json_str_or(o, "why_not", "?"));
}

static void print_rule(FILE *out, struct json_object *o)
{
    struct json_object *list = json_at(o, "identities");
    int64_t n = 0;
    json_get_int(o, "mapping", &n, NULL);
    fprintf(out, "  mapping %d: %s ~ %s -> %s\n", (int)n, json_str_or(o, "source", "?"),
            json_str_or(o, "match", "?"), json_str_or(o, "output", "?"));
    for (size_t i = 0; list && i < json_object_array_length(list); i++)
        print_identity(out, json_object_array_get_idx(list, i));
}

static void print_mapper(FILE *out, struct json_object *o)
{
    struct json_object *rules = json_at(o, "mappings");
    const char *failure = json_str_or(o, "failure", NULL);
    int64_t n = 0;
    json_get_int(o, "mapper", &n, NULL);
    fprintf(out, "Mapper %d: %s\n", (int)n, json_str_or(o, "kind", "?"));
    for (size_t i = 0; rules && i < json_object_array_length(rules); i++)
        print_rule(out, json_object_array_get_idx(rules, i));
    if (failure)
        fprintf(out, "  failed, so it maps nobody: %s\n", failure);
}

/* What each mapper came to: the only trace of an external one. */
static void print_candidates(FILE *out, struct json_object *list)
{
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *one = json_object_array_get_idx(list, i);
        if (json_object_array_length(one) > 0)
            fprintf(out, "Candidates of mapper %zu: %s\n", i + 1,
                    json_object_to_json_string_ext(one, JSON_C_TO_STRING_NOSLASHESCAPE));
    }
}

void print_mapping(FILE *out, struct json_object *answer)
{
    struct json_object *mappers = json_at(answer, "explanation.mappers");
    print_list(out, "Note: ", json_at(answer, "notes"));
    for (size_t i = 0; mappers && i < json_object_array_length(mappers); i++)
        print_mapper(out, json_object_array_get_idx(mappers, i));
    print_candidates(out, json_at(answer, "candidates"));
    fprintf(out, "Decision: %s\n", json_str_or(answer, "explanation.decision", "?"));
}

void print_account(FILE *out, struct json_object *o)
{
    bool accepted = false;
    int64_t uid = 0;
    json_get_bool(o, "accepted", &accepted, NULL);
    json_get_int(o, "uid", &uid, NULL);
    if (accepted)
        fprintf(out, "Account %s: accepted (uid %d, home %s, shell %s)\n",
                json_str_or(o, "name", "?"), (int)uid, json_str_or(o, "home", "?"),
                json_str_or(o, "shell", "?"));
    else
        fprintf(out, "Account %s: refused: %s\n", json_str_or(o, "name", "?"),
                json_str_or(o, "admin_text", "?"));
}

/* ---- what bounds it ---- */

static int64_t number(struct json_object *o, const char *key)
{
    return json_object_get_int64(json_at(o, key));
}

static void print_limit(FILE *out, const char *what, int64_t n, const char *unit)
{
    if (n > 0)
        fprintf(out, "  %-40s %lld%s\n", what, (long long)n, unit);
    else
        fprintf(out, "  %-40s no limit\n", what);
}

void print_limits(FILE *out, struct json_object *o)
{
    const char *pam = json_str_or(o, "pam_service", NULL);
    fprintf(out, "Limits of the manager:\n");
    print_limit(out, "user endpoints on this host", number(o, "max_user_endpoints"), "");
    print_limit(out, "user endpoints of one user", number(o, "max_user_endpoints_per_user"), "");
    print_limit(out, "starts of one user a minute", number(o, "max_starts_per_user_per_minute"),
                "");
    print_limit(out, "memory that must be free", number(o, "minimum_free_memory_mib"), " MiB");
    print_limit(out, "size of the options, of the template", number(o, "options_bytes"), " bytes");
    if (pam)
        fprintf(out, "  %-40s %s\n", "PAM service of the session", pam);
    else
        fprintf(out, "  %-40s %s\n", "new privileges (setuid programs)",
                json_object_get_boolean(json_at(o, "no_new_privs")) ? "no" : "allowed");
}

static void print_idle(FILE *out, struct json_object *idle)
{
    if (!idle) {
        fprintf(out, "  %-40s never\n", "leaves when idle");
        return;
    }
    fprintf(out, "  %-40s after %lld s; with tasks that never end after %lld s\n",
            "leaves when idle", (long long)number(idle, "soft_s"),
            (long long)number(idle, "hard_s"));
}

static void print_file(FILE *out, const char *title, const char *path, const char *text)
{
    size_t n = strlen(text);
    fprintf(out, "%s %s:\n%s%s", title, path, text, n > 0 && text[n - 1] == '\n' ? "" : "\n");
}

void print_submission(FILE *out, struct json_object *o)
{
    struct json_object *limits = json_at(o, "limits");
    const char *second = json_str_or(o, "second", NULL);
    if (json_str_or(o, "error", NULL)) {
        fprintf(out, "The user endpoint would not accept this configuration: %s\n",
                json_str_or(o, "error", ""));
        return;
    }
    fprintf(out, "Limits of the user endpoint:\n");
    print_idle(out, json_at(o, "idle"));
    fprintf(out, "  %-40s %lld at first, %lld to %lld\n", "blocks (jobs at the same time)",
            (long long)number(limits, "init_blocks"), (long long)number(limits, "min_blocks"),
            (long long)number(limits, "max_blocks"));
    print_limit(out, "nodes of a block", number(limits, "nodes_per_block"), "");
    if (json_at(limits, "walltime_s"))
        print_limit(out, "walltime of a block", number(limits, "walltime_s"), " s");
    print_limit(out, "jobs an hour", number(limits, "jobs_per_hour"), "");
    print_limit(out, "failures in a row before it gives up", number(limits, "failures_in_a_row"),
                "");
    print_list(out, "Note: ", json_at(o, "warnings"));
    if (json_str_or(o, "note", NULL))
        fprintf(out, "Note: %s\n", json_str_or(o, "note", ""));
    fprintf(out, "Provider: %s, launcher: %s\n", json_str_or(o, "provider", "?"),
            json_str_or(o, "launcher", "none"));
    print_file(out, "Script", json_str_or(o, "path", "?"), json_str_or(o, "script", ""));
    if (second)
        print_file(out, "Beside it", json_str_or(o, "second_path", "?"), second);
    fprintf(out, "Submitted with: %s\n", json_str_or(o, "command", "?"));
}
