/* grant-key, grant-key rotate: the keys that start commands are signed with. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/sallyport/commands.h"
#include "cli/sallyport/ledger.h"
#include "cli/sallyport/show.h"
#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "service/api/grants.h"

#define DAYS_DEFAULT 30
#define DAYS_MAX 3650

static void print_for_people(struct json_object *list)
{
    printf("sallyport:\n  grant_key: %s\n",
           json_str_or(json_object_array_get_idx(list, 0), "grant_key", ""));
    fflush(stdout);
    for (size_t i = 1; i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        int64_t until = 0;
        char when[64];
        json_get_int(o, "until", &until, NULL);
        clock_iso_utc(until * 1000000000, when, sizeof(when));
        fprintf(stderr, "An older key is good until %.16s UTC: %s\n", when,
                json_str_or(o, "grant_key", ""));
    }
}

static int show(const struct args *a, const char *path)
{
    struct err err = ERR_INIT;
    struct grants *g = grants_create(path, &err);
    if (!g)
        return fail("%s", err.text);
    autojson struct json_object *list = grants_public(g, (int64_t)clock_unix());
    if (args_has(a, "--json"))
        show_json(list);
    else
        print_for_people(list);
    grants_destroy(g);
    return 0;
}

static char *key_path(const struct args *a, struct err *err)
{
    const char *dir = args_data(a);
    return become_owner(dir, err) < 0 ? NULL : xasprintf("%s/" GRANTS_FILE, dir);
}

int cmd_grant_key(const struct args *a)
{
    struct err err = ERR_INIT;
    autofree char *path = key_path(a, &err);
    return path ? show(a, path) : fail("%s", err.text);
}

int cmd_grant_key_rotate(const struct args *a)
{
    struct err err = ERR_INIT;
    const char *text = args_get(a, "--days");
    char *end = NULL;
    errno = 0;
    long days = text ? strtol(text, &end, 10) : DAYS_DEFAULT;
    if (text && (errno || end == text || *end || days < 0 || days > DAYS_MAX))
        return usage(a->command, "--days %s: a number from 0 to %d is needed.", text, DAYS_MAX);
    autofree char *path = key_path(a, &err);
    if (!path || grants_rotate(path, (int64_t)clock_unix(), days * 86400, &err) < 0)
        return fail("%s", err.text);
    return show(a, path);
}
