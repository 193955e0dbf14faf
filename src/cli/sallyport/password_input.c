#include "cli/sallyport/password_input.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "lib/base/alloc.h"

#define LINE_MAX_BYTES 4096

/* One line of fd without its end; NULL at the end of input. */
static char *read_line(int fd)
{
    char *line = xcalloc(1, LINE_MAX_BYTES);
    size_t n = 0;
    while (n + 1 < LINE_MAX_BYTES) {
        ssize_t got = read(fd, line + n, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            if (n > 0)
                break;
            wipe_free(line);
            return NULL;
        }
        if (line[n] == '\n')
            break;
        n++;
    }
    line[n] = '\0';
    if (n > 0 && line[n - 1] == '\r')
        line[n - 1] = '\0';
    return line;
}

static struct termios before;
static int terminal = -1;

static void restore(int signo)
{
    if (terminal >= 0)
        tcsetattr(terminal, TCSAFLUSH, &before);
    if (signo != 0) {
        signal(signo, SIG_DFL);
        raise(signo);
    }
}

static char *ask(const char *prompt)
{
    (void)!write(terminal, prompt, strlen(prompt));
    char *line = read_line(terminal);
    (void)!write(terminal, "\n", 1);
    return line;
}

static char *ask_twice(const char *what, struct err *err)
{
    terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0 || tcgetattr(terminal, &before) != 0) {
        err_set(err, "there is no terminal to ask for the %s on; give it with --password-stdin",
                what);
        return NULL;
    }
    struct termios quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    signal(SIGINT, restore);
    signal(SIGTERM, restore);
    tcsetattr(terminal, TCSAFLUSH, &quiet);
    autofree char *first_prompt = xasprintf("%s: ", what);
    char *first = ask(first_prompt);
    char *second = first == NULL ? NULL : ask("The same again: ");
    restore(0);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    close(terminal);
    terminal = -1;
    bool same = first != NULL && second != NULL && strcmp(first, second) == 0;
    if (!same)
        err_set(err,
                first == NULL || second == NULL ? "no %s was typed"
                                                : "the two differ; no %s was set",
                what);
    wipe_free(second);
    if (same)
        return first;
    wipe_free(first);
    return NULL;
}

char *password_input(bool from_stdin, const char *what, struct err *err)
{
    if (!from_stdin)
        return ask_twice(what, err);
    char *line = read_line(STDIN_FILENO);
    if (line == NULL)
        err_set(err, "standard input is empty; a %s was expected there", what);
    return line;
}
