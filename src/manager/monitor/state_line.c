/* See state_line.h.  The file is our own and root's, and still read as if it were not: a disk may
 * have been full in the middle of a line. */
#include "manager/monitor/state_line.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "manager/table.h"

#define FIELDS 12

void state_line_write(struct buf *b, const struct state_line *l)
{
    buf_fmt(b, "+\t%d\t%llu\t%u\t%u\t%llu\t%llu\t%s\t%s\t%s\t%s\t%s\n", (int)l->pid, l->start_time,
            l->uid, l->gid, l->dev, l->ino, l->user, l->name, l->key, l->id[0] ? l->id : "-",
            l->command);
}

static bool number(const char *text, unsigned long long max, unsigned long long *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && !*end && errno == 0 && *out <= max;
}

bool state_line_read(char *text, struct state_line *l)
{
    char *field[FIELDS];
    unsigned long long pid, uid, gid;
    for (int i = 0; i < FIELDS; i++) {
        field[i] = strsep(&text, "\t");
        if (!field[i])
            return false;
    }
    if (text || strcmp(field[0], "+") != 0 || !number(field[1], INT_MAX, &pid) ||
        !number(field[2], ULLONG_MAX, &l->start_time) || !number(field[3], UINT_MAX, &uid) ||
        !number(field[4], UINT_MAX, &gid) || !number(field[5], ULLONG_MAX, &l->dev) ||
        !number(field[6], ULLONG_MAX, &l->ino))
        return false;
    l->pid = (pid_t)pid;
    l->uid = (unsigned)uid;
    l->gid = (unsigned)gid;
    l->user = field[7];
    l->name = field[8];
    l->key = field[9];
    l->id = strcmp(field[10], "-") == 0 ? "" : field[10];
    l->command = field[11];
    return l->pid > 1 && strlen(l->user) < TABLE_USER && strlen(l->key) < TABLE_KEY &&
           strlen(l->id) < UUID_TEXT && strlen(l->command) < TABLE_COMMAND &&
           table_name_is_good(l->name);
}
