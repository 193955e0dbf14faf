/* See lint.h: the list, what the parts share, and how it is told. */
#include "manager/explain/lint/lint.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"

static const char *const levels[] = {
    [LINT_NOTE] = "note", [LINT_WARNING] = "warning", [LINT_ERROR] = "error"};
static const char *const colours[] = {
    [LINT_NOTE] = "\033[36m", [LINT_WARNING] = "\033[33m", [LINT_ERROR] = "\033[31m"};

void lint_found(struct lint *l, enum lint_level level, const char *file, unsigned line,
                const char *fmt, ...)
{
    autobuf struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vfmt(&text, fmt, ap);
    va_end(ap);
    struct json_object *o = json_object_new_object();
    json_add_str(o, "level", levels[level]);
    json_add_str(o, "file", file);
    if (line > 0)
        json_add_int(o, "line", line);
    else
        json_add(o, "line", NULL);
    json_add_str(o, "text", text.data);
    json_object_array_add(l->findings, o);
    l->counts[level]++;
}

/* ---- files ---- */

void lint_owner(struct lint *l, const char *path, const struct stat *st)
{
    if (st->st_mode & S_IWOTH)
        lint_found(l, LINT_ERROR, path, 0, "everybody may write to it; chmod o-w");
    else if (st->st_mode & S_IWGRP && st->st_gid != 0)
        lint_found(l, LINT_WARNING, path, 0, "the group %u may write to it; chmod g-w",
                   (unsigned)st->st_gid);
    if (st->st_uid != 0 && st->st_uid != geteuid())
        lint_found(l, LINT_ERROR, path, 0,
                   "it belongs to uid %u, who can change what the manager does; chown it to the "
                   "manager's account",
                   (unsigned)st->st_uid);
}

static void look_at_folder(struct lint *l, const char *path)
{
    struct stat st;
    autofree char *folder = xstrdup(path);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return;
    *slash = '\0';
    if (strcmp(folder, l->x->dir) != 0 && stat(folder, &st) == 0 && !(st.st_mode & S_ISVTX))
        lint_owner(l, folder, &st);
}

bool lint_read(struct lint *l, const char *path, bool is_needed, struct buf *text)
{
    struct err err = ERR_INIT;
    struct stat st;
    if (stat(path, &st) < 0) {
        if (errno == ENOENT && is_needed)
            lint_found(l, LINT_ERROR, path, 0,
                       "it is missing; make it, or take its name out of config.yaml");
        else if (errno != ENOENT)
            lint_found(l, LINT_ERROR, path, 0,
                       "it can't be looked at: %s; open its folders to the "
                       "manager's account",
                       strerror(errno));
        return false;
    }
    lint_owner(l, path, &st);
    look_at_folder(l, path);
    if (fs_read(path, LINT_TEXT_MAX, text, &err) == 0)
        return true;
    lint_found(l, LINT_ERROR, path, 0, "the manager can't read it: %s", err.text);
    return false;
}

/* ---- lines ---- */

unsigned lint_line_at(const struct buf *text, size_t n)
{
    unsigned line = 1;
    for (size_t i = 0; i < n && i < text->len; i++)
        line += text->data[i] == '\n';
    return line;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

unsigned lint_line_of(const struct buf *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = text->data; at && (at = strstr(at, word)) != NULL; at += n)
        if ((at == text->data || !is_word(at[-1])) && !is_word(at[n]))
            return lint_line_at(text, (size_t)(at - text->data));
    return 0;
}

unsigned lint_line_told(const struct buf *text, const char *sentence)
{
    static const char byte[] = " at byte ", line[] = " line ";
    const char *at = strstr(sentence, byte);
    if (at)
        return lint_line_at(text, strtoul(at + sizeof(byte) - 1, NULL, 10));
    for (at = sentence; (at = strstr(at, line)) != NULL; at += sizeof(line) - 1)
        if (isdigit((unsigned char)at[sizeof(line) - 1]))
            return (unsigned)strtoul(at + sizeof(line) - 1, NULL, 10);
    return 0;
}

/* ---- telling ---- */

static void print_one(struct json_object *o, bool colour)
{
    const char *level = json_str_or(o, "level", ""), *file = json_str_or(o, "file", NULL);
    int64_t line = json_object_get_int64(json_at(o, "line"));
    for (size_t i = 0; colour && i <= LINT_ERROR; i++)
        if (strcmp(levels[i], level) == 0)
            fputs(colours[i], stdout);
    printf("%s:%s", level, colour ? "\033[m" : "");
    if (file)
        printf(" %s:", file);
    if (file && line > 0)
        printf("%lld:", (long long)line);
    printf(" %s\n", json_str_or(o, "text", ""));
}

static void print_all(const struct lint *l)
{
    const char *no_colour = getenv("NO_COLOR");
    bool colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour);
    for (size_t i = 0; i < json_object_array_length(l->findings); i++)
        print_one(json_object_array_get_idx(l->findings, i), colour);
    printf("%u error%s, %u warning%s\n", l->counts[LINT_ERROR],
           l->counts[LINT_ERROR] == 1 ? "" : "s", l->counts[LINT_WARNING],
           l->counts[LINT_WARNING] == 1 ? "" : "s");
}

int explain_lint(struct explain *x)
{
    struct lint l = {.x = x, .findings = json_object_new_array()};
    if (!x->dir)
        return explain_fail(x, "no endpoint is given");
    lint_config(&l);
    if (x->config) {
        lint_mapping(&l);
        lint_template(&l);
        lint_environment(&l);
    }
    lint_clock(&l);
    if (x->json)
        print_json(stdout, l.findings);
    else
        print_all(&l);
    json_object_put(l.findings);
    return l.counts[LINT_ERROR] ? 1 : 0;
}
