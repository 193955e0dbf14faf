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
