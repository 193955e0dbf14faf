/* _describe WHAT: the table of commands for programs: `json` (tests compare documents with it),
 * `man` (the manual page, made when building), `names` (for completion scripts). */
#include <stdio.h>
#include <string.h>

#include "lib/cli/private.h"
#include "lib/cli/show.h"

/* ---- json ---- */

static const char *kind_text(enum option_kind kind)
{
    static const char *const texts[] = {
        [OPTION_FLAG] = "flag",   [OPTION_TEXT] = "text",   [OPTION_FILE] = "file",
        [OPTION_INPUT] = "input", [OPTION_COUNT] = "count", [OPTION_TRUTH] = "boolean",
    };
    return texts[kind];
}

static void add_options(struct json_object *list, const struct option_def *o)
{
    for (; o && o->name; o++) {
        char letter[2] = {o->letter, '\0'};
        struct json_object *one = json_object_new_object();
        json_add_str(one, "name", o->name);
        json_add_str(one, "letter", o->letter ? letter : NULL);
        json_add_str(one, "kind", kind_text(o->kind));
        json_add_bool(one, "hidden", o->hidden);
        json_add_str(one, "help", o->help);
        json_object_array_add(list, one);
    }
}

static void print_json(const struct program *p)
{
    autojson struct json_object *all = json_object_new_array();
    for (size_t i = 0; i < p->count; i++) {
        const struct command *c = &p->commands[i];
        struct json_object *one = json_object_new_object();
        struct json_object *options = json_object_new_array();
        add_options(options, c->options);
        add_options(options, cli_shared(c));
        json_add_str(one, "name", c->name);
        json_add_str(one, "summary", c->summary);
        json_add_str(one, "operands", c->operands);
        json_add_bool(one, "hidden", c->hidden);
        json_add_bool(one, "rest", c->rest);
        json_add_str(one, "examples", c->examples);
        json_add(one, "options", options);
        json_object_array_add(all, one);
    }
    show_json(all);
}

/* ---- man ---- */

/* n bytes for roff: no accidental requests, hyphens that can be copied. */
static void roff(const char *s, size_t n)
{
    bool at_begin = true;
    for (; n > 0; n--, s++) {
        if (at_begin && (*s == '.' || *s == '\''))
            printf("\\&");
        if (*s == '\\')
            printf("\\e");
        else if (*s == '-')
            printf("\\-");
        else
            putchar(*s);
        at_begin = *s == '\n';
    }
}

static void roff_text(const char *s)
{
    roff(s, strlen(s));
}

static void roff_options(const struct option_def *o)
{
    for (; o && o->name; o++) {
        char left[128];
        if (o->hidden)
            continue;
        help_option_left(o, left, sizeof(left));
        printf(".TP\n.B ");
        roff_text(left);
        putchar('\n');
        roff_text(o->help);
        putchar('\n');
    }
}

static void roff_command(const struct program *p, const struct command *c)
{
    printf(".SS ");
    roff_text(c->name);
    printf("%s%s%s\n", c->operands ? " " : "", c->operands ? c->operands : "",
           c->rest ? " [ARGS]..." : "");
    roff_text(c->summary);
    printf(".\n");
    if (c->text) {
        printf(".PP\n");
        roff_text(c->text);
        putchar('\n');
    }
    roff_options(c->options);
    printf(".PP\nExamples:\n.PP\n.nf\n.RS\n");
    for (const char *line = c->examples; *line;) {
        size_t n = strcspn(line, "\n");
        printf("$ %s ", p->title);
        roff(line, n);
        putchar('\n');
        line += n + (line[n] == '\n');
    }
    printf(".RE\n.fi\n");
}

/* The widest set of shared options. */
static const struct option_def *most_shared(const struct program *p)
{
    const struct option_def *most = p->shared;
    size_t best = 0;
    for (size_t i = 0; i < p->count; i++) {
        size_t n = 0;
        for (const struct option_def *o = cli_shared(&p->commands[i]); o->name; o++)
            n++;
        if (n > best) {
            best = n;
            most = cli_shared(&p->commands[i]);
        }
    }
    return most;
}

static void print_man(const struct program *p)
{
    printf(".TH ");
    for (const char *c = p->title; *c; c++)
        printf(*c == '-' ? "\\-" : "%c", *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    printf(" 1 \"\" \"Sallyport\" \"version %s\"\n%s", p->version, p->man_head);
    for (size_t i = 0; i < p->count; i++)
        if (!p->commands[i].hidden)
            roff_command(p, &p->commands[i]);
    printf(".SS Options of every command\n");
    roff_options(most_shared(p));
    printf("%s", p->man_tail);
}

static void print_names(const struct program *p)
{
    if (p->print_names)
        p->print_names();
}

int cmd_describe(const struct args *a)
{
    static const struct {
        const char *what;
        void (*print)(const struct program *p);
    } things[] = {{"json", print_json}, {"man", print_man}, {"names", print_names}};
    for (size_t i = 0; i < sizeof(things) / sizeof(things[0]); i++)
        if (strcmp(things[i].what, args_operand(a, 0)) == 0) {
            things[i].print(a->program);
            return 0;
        }
    return usage(a->command, "One of json, man, names is wanted.");
}
