/* top: what the user endpoints of this host do, live.  See top.h for how it is found out.
 *
 * On a terminal the view is drawn anew each second until q; elsewhere, or with --once, one table is
 * printed.  --json prints one document. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cli/gce/commands.h"
#include "lib/cli/table.h"
#include "cli/gce/top.h"
#include "lib/cli/show.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"

#define EVERY_MS 1000
#define LINES_MAX 100000

static volatile sig_atomic_t must_end;

static void end_sig(int sig)
{
    must_end = sig;
}

/* At most `width` columns and `height` lines of it; colours where they are wanted. */
static void draw(const struct buf *lines, int width, int height, bool coloured, struct buf *out)
{
    static const char *const start[] = {
        [LOOK_PLAIN] = "",        [LOOK_HEAD] = "\033[1m", [LOOK_DIM] = "\033[2m",
        [LOOK_WARN] = "\033[33m", [LOOK_BAD] = "\033[31m",
    };
    const char *at = lines->data, *end = lines->data + lines->len;
    for (int n = 0; at < end && n < height; n++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const char *colour = coloured ? start[*at - '0'] : "";
        int len = (int)(stop - at - 1);
        while (len > 0 && at[len] == ' ')
            len--;
        buf_fmt(out, "%s%.*s%s\n", colour, len < width ? len : width, at + 1,
                *colour ? "\033[0m" : "");
        at = stop + 1;
    }
}

static void print_once(const struct view *v, bool coloured)
{
    autobuf struct buf lines = BUF_INIT, out = BUF_INIT;
    bool is_terminal = isatty(STDOUT_FILENO);
    int width = is_terminal || getenv("COLUMNS") ? table_terminal_width() : 200;
    view_lines(v, width, &lines);
    draw(&lines, is_terminal ? width : LINES_MAX, LINES_MAX, coloured, &out);
    fwrite(out.data, 1, out.len, stdout);
}

/* 'q', the end of input or a signal: true.  Waits for the rest of the second. */
static bool is_over(bool *listens)
{
    struct pollfd p = {.fd = *listens ? STDIN_FILENO : -1, .events = POLLIN};
    char key = 0;
    if (must_end || poll(&p, 1, EVERY_MS) <= 0 || must_end)
        return must_end != 0;
    if (read(STDIN_FILENO, &key, 1) <= 0)
        *listens = false;
    return key == 'q' || key == 'Q' || key == 3 || key == 4;
}

static void refresh(const struct view *v, bool coloured)
{
    autobuf struct buf lines = BUF_INIT, out = BUF_INIT;
    struct winsize ws = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || ws.ws_col == 0 || ws.ws_row == 0)
        ws = (struct winsize){.ws_col = 80, .ws_row = 24};
    view_lines(v, ws.ws_col, &lines);
    buf_str(&out, "\033[H");
    autobuf struct buf body = BUF_INIT;
    draw(&lines, ws.ws_col, ws.ws_row - 1, coloured, &body);
    for (const char *c = body.data; c && *c; c++) { /* what was longer before goes */
        if (*c == '\n')
            buf_str(&out, "\033[K");
        buf_char(&out, *c);
    }
    buf_str(&out, "\033[Jq quits");
    (void)fs_write_all(STDOUT_FILENO, out.data, out.len);
}

static int live(const char *epdir, bool coloured)
{
    struct termios before, raw;
    struct sigaction sa = {.sa_handler = end_sig}; /* no SA_RESTART: poll has to end */
    struct view *v = NULL;
    bool listens = tcgetattr(STDIN_FILENO, &before) == 0;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    bool is_raw = listens;
    if (is_raw) {
        raw = before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    (void)fs_write_all(STDOUT_FILENO, "\033[?1049h\033[?25l", 14);
    do {
        struct view *next = view_look(epdir, v);
        view_free(v);
        v = next;
        refresh(v, coloured);
    } while (!is_over(&listens));
    view_free(v);
    (void)fs_write_all(STDOUT_FILENO, "\033[?25h\033[?1049l", 14);
    if (is_raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    return 0;
}

int cmd_top(const struct args *a)
{
    struct err err = ERR_INIT;
    autofree char *epdir = args_operand(a, 0) ? epdir_find(args_operand(a, 0), &err) : NULL;
    if (args_operand(a, 0) && !epdir)
        return fail("%s", err.text);
    bool coloured = cli_colours(STDOUT_FILENO) && !args_has(a, "--no-color");
    if (!args_has(a, "--json") && !args_has(a, "--once") && isatty(STDOUT_FILENO))
        return live(epdir, coloured);
    struct view *v = view_look(epdir, NULL);
    autojson struct json_object *doc = args_has(a, "--json") ? view_json(v) : NULL;
    if (doc)
        show_json(doc);
    else if (v->count == 0)
        printf("No endpoints configured!\n\n (Hint: globus-compute-endpoint configure)\n");
    else
        print_once(v, coloured);
    view_free(v);
    return 0;
}
