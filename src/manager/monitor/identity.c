/* See identity.h. */
#include "manager/monitor/identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/proctitle.h"

#define JSON_MAX 4096

/* The one member that the file has; anything else is somebody's mistake. */
static bool read_id(const char *text, char id[UUID_TEXT])
{
    char value[UUID_TEXT];
    int end = 0;
    if (sscanf(text, " { \"endpoint_id\" : \"%36[0-9a-fA-F-]\" } %n", value, &end) != 1 ||
        end == 0 || text[end] != '\0')
        return false;
    return uuid_parse(value, id);
}

int identity_load(struct monitor *m, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    struct err local = ERR_INIT;
    autofree char *path = xasprintf("%s/endpoint.json", m->dir);
    char asked[UUID_TEXT] = "";
    if (m->opt.endpoint_uuid && !uuid_parse(m->opt.endpoint_uuid, asked))
        return err_set(err, "--endpoint-uuid: '%s' is not a UUID", m->opt.endpoint_uuid);
    if (fs_read(path, JSON_MAX, &text, &local) < 0) {
        if (local.code != ENOENT)
            return err_set(err, "%s", local.text);
    } else if (!read_id(text.data ? text.data : "", m->asked_id)) {
        return err_set(err, "%s does not hold an endpoint id; remove it to register a new endpoint",
                       path);
    }
    /* Seed style: what is stored wins; today's: what is asked for. */
    if (asked[0] && !(m->set.seed_style && m->asked_id[0]))
        memcpy(m->asked_id, asked, UUID_TEXT);
    return 0;
}

int identity_store(const struct monitor *m, struct err *err)
{
    autofree char *path = xasprintf("%s/endpoint.json", m->dir);
    char text[128];
    int n = snprintf(text, sizeof(text), "{\"endpoint_id\": \"%s\"}", m->endpoint_id);
    return fs_write(path, text, (size_t)n, 0600, true, err);
}

static void title(const struct monitor *m, const char *prefix)
{
    bool has_env = m->set.environment[0] != '\0';
    proctitle_set("%sGlobus Compute Endpoint *(%s, %s)%s%s [globus-compute-endpoint start %s]",
                  prefix, m->endpoint_id, m->name, has_env ? " - " : "",
                  has_env ? m->set.environment : "", m->name);
}

static const char *kind(const struct monitor *m)
{
    return m->set.seed_style ? "Multi-User Endpoint" : "Endpoint";
}

/* The line on a terminal; without one, where the log goes to the console, for whoever captures it.
 */
static void terminal_line(const struct monitor *m)
{
    bool out = isatty(STDOUT_FILENO);
    if (out || isatty(STDERR_FILENO))
        dprintf(out ? STDOUT_FILENO : STDERR_FILENO,
                "\033[?25l        >>> %s ID: \033[104m%s\033[m <<<\n", kind(m), m->endpoint_id);
    else if (m->opt.console)
        dprintf(STDERR_FILENO, "        >>> %s ID: %s <<<\n", kind(m), m->endpoint_id);
}

void identity_begins(struct monitor *m)
{
    title(m, "");
    log_info("\n\n========== %s begins: %s",
             m->set.seed_style ? "Endpoint Manager" : "Core Endpoint", m->endpoint_id);
    terminal_line(m);
}

void identity_stopping(const struct monitor *m)
{
    if (m->endpoint_id[0])
        title(m, "[shutdown in progress] ");
}

void identity_ends(const struct monitor *m)
{
    if (!m->endpoint_id[0])
        return;
    log_info("Shutdown complete.\n---------- %s ends: %s\n\n",
             m->set.seed_style ? "Endpoint Manager" : "Core Endpoint", m->endpoint_id);
    if (isatty(STDOUT_FILENO) || isatty(STDERR_FILENO))
        dprintf(isatty(STDOUT_FILENO) ? STDOUT_FILENO : STDERR_FILENO, "\033[?25h");
}
