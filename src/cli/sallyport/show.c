#include "cli/sallyport/show.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/alloc.h"

#define COLUMNS_MAX 12

static char *cell(struct json_object *row, const struct show_column *column)
{
    struct json_object *value = json_at(row, column->key);
    if (column->kind == SHOW_FLAG)
        return xstrdup(json_object_get_boolean(value) ? "yes" : "");
    if (column->kind == SHOW_TIME) {
        time_t at = (time_t)json_object_get_int64(value);
        struct tm tm;
        char text[32] = "never";
        if (at != 0 && localtime_r(&at, &tm) != NULL)
            strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm);
        return xstrdup(text);
    }
    return xstrdup(value == NULL ? "" : json_object_get_string(value));
}

/* Characters, not bytes: enough for names in most scripts. */
static int width(const char *s)
{
    int n = 0;
    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void put_cell(const char *text, int room, bool last)
{
    printf("%s%*s", text, last ? 0 : room - width(text) + 2, "");
}

void show_table(struct json_object *list, const struct show_column *columns, const char *empty)
{
    size_t n = json_object_array_length(list), wide = 0;
    int widths[COLUMNS_MAX];
    if (n == 0) {
        puts(empty);
        return;
    }
    for (; columns[wide].title != NULL && wide < COLUMNS_MAX; wide++) {
        widths[wide] = width(columns[wide].title);
        for (size_t i = 0; i < n; i++) {
            autofree char *text = cell(json_object_array_get_idx(list, i), &columns[wide]);
            if (width(text) > widths[wide])
                widths[wide] = width(text);
        }
    }
    for (size_t c = 0; c < wide; c++)
        put_cell(columns[c].title, widths[c], c + 1 == wide);
    putchar('\n');
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < wide; c++) {
            autofree char *text = cell(json_object_array_get_idx(list, i), &columns[c]);
            put_cell(text, widths[c], c + 1 == wide);
        }
        putchar('\n');
    }
}

int show_list(const struct args *a, int rc, struct json_object *list,
              const struct show_column *columns, const char *empty)
{
    if (rc == 0 && args_has(a, "--json"))
        show_json(list);
    else if (rc == 0)
        show_table(list, columns, empty);
    json_object_put(list);
    return rc;
}
