/* list: the endpoints of the base directory and whether they run, on whichever host. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/gce/commands.h"
#include "cli/gce/epdir.h"
#include "cli/gce/top.h"
#include "lib/base/alloc.h"
#include "lib/base/log.h"
#include "lib/cli/show.h"
#include "lib/cli/table.h"

#define WIDTH_MIN 68
#define NAME_MIN 10

static char *id_text(const char *epdir)
{
    struct err err = ERR_INIT;
    char *id = epdir_id(epdir, &err);
    if (id)
        return id;
    if (!err.text[0])
        return xstrdup("None");
    log_warning("%s", err.text);
    return xstrdup("[failed to read endpoint id]");
}

static void print_json(char **list)
{
    autojson struct json_object *all = json_object_new_array();
    for (char **at = list; *at; at++) {
        struct json_object *one = json_object_new_object();
        autofree char *id = epdir_id(*at, NULL);
        json_add_str(one, "id", id);
        json_add_str(one, "name", epdir_name(*at));
        json_add_str(one, "status", ep_status_text(epdir_status(*at)));
        json_add_str(one, "path", *at);
        int running = find_children_count(*at);
        json_add(one, "user_endpoints", running < 0 ? NULL : json_object_new_int(running));
        json_object_array_add(all, one);
    }
    show_json(all);
}

static void print_table(char **list)
{
    struct table *t =
        table_create((const char *const[]){"Endpoint ID", "Status", "Endpoint Name", NULL});
    for (char **at = list; *at; at++) {
        autofree char *id = id_text(*at);
        table_row(
            t, (const char *const[]){id, ep_status_text(epdir_status(*at)), epdir_name(*at), NULL});
    }
    int width = table_terminal_width();
    table_print(t, stdout, width > WIDTH_MIN ? width : WIDTH_MIN, 2, NAME_MIN);
    table_destroy(t);
}

int cmd_list(const struct args *a)
{
    char **list = epdir_list();
    if (args_has(a, "--json"))
        print_json(list);
    else if (!*list)
        printf("No endpoints configured!\n\n (Hint: globus-compute-endpoint configure)\n");
    else
        print_table(list);
    epdir_list_free(list);
    return 0;
}
