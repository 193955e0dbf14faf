/* No value of a user changes the set of keys of the rendered document.
 *
 * Random texts made of what means something to YAML, Jinja, JSON and shells go into templates that
 * put them in every place where a value may stand; the document must be readable and have the keys
 * that it has with a plain word.  The seed is printed with a failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/render/render.h"
#include "lib/yaml/yaml.h"

#define ROUNDS 1500

static const char *const pieces[] = {
    "\n",
    "\r",
    "\t",
    "\"",
    "'",
    "''",
    "\\",
    "\\\\",
    ": ",
    ":",
    "- ",
    "#",
    " #",
    "{",
    "}",
    "{{",
    "}}",
    "{%",
    "%}",
    "[",
    "]",
    ", ",
    "&a",
    "*a",
    "!",
    "!!int",
    "|",
    ">",
    "%",
    "@",
    "`",
    "\n\n",
    "---\n",
    "...",
    "x: 1",
    "evil: true",
    "\nevil: true\n",
    "\x01",
    "\x7f",
    "~",
    "null",
    "\xc2\x85",
    "\xe2\x80\xa8",
    "\xf0\x9f\x98\x80",
    "\\u000a",
    "\\x0a",
    "\\n",
    "$(id)",
    "a",
    " ",
    "\"\nevil: 1\n\"",
    "'\nevil: 1\n'",
    "']\nevil: ['",
    "', evil: 1, '",
    "\", evil: 1, \"",
    "0",
    "1:00",
};

static const char *const templates[] = {
    "a: {{ v }}\nb: 2\n",
    "a: {{ v }} # {{ v }}\nb: {{ v }}\n",
    "a:\n  - {{ v }}\n  - {c: {{ v }}, d: [{{ v }}, {{ v }}]}\nb: 1\n",
    "a: {{ l }}\nb: {{ o }}\n",
    "z: {a: {{ l }}, b: {{ o }}, c: {{ v }}}\ny: 1\n",
    "a: {{ v|shell_escape }}\nb: {{ v|shell_escape }}\n",
    "{% for x in l %}k{{ loop.index }}: {{ x }}\n{% endfor %}b: 1\n",
    "a: {{ v|default('x') }}\nb: {{ o.k }}\n",
    "a: {{ [v, v]|list }}\nb: 1\n",
};

static uint64_t rng;

static unsigned below(unsigned n)
{
    rng = rng * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(rng >> 33) % n;
}

static void add_text(struct buf *b)
{
    unsigned n = below(8);
    for (unsigned i = 0; i < n; i++)
        buf_str(b, pieces[below(sizeof(pieces) / sizeof(pieces[0]))]);
}

static struct json_object *options(bool plain)
{
    struct json_object *o = json_object_new_object();
    struct json_object *list = json_object_new_array();
    struct json_object *inner = json_object_new_object();
    for (int i = 0; i < 4; i++) {
        autobuf struct buf text = BUF_INIT;
        buf_str(&text, plain ? "word" : "");
        if (!plain)
            add_text(&text);
        struct json_object *s = json_object_new_string_len(text.data, (int)text.len);
        if (i == 0)
            json_add(o, "v", s);
        else if (i == 1)
            json_add(inner, "k", s);
        else
            json_object_array_add(list, s);
    }
    json_add(o, "l", list);
    json_add(o, "o", inner);
    return o;
}

/* Appends the keys of all mappings in order, with their depth. */
static void shape(struct json_object *o, int depth, struct buf *out)
{
    if (json_object_is_type(o, json_type_object)) {
        json_object_object_foreach(o, key, value)
        {
            buf_fmt(out, "%d%s;", depth, key);
            shape(value, depth + 1, out);
        }
    } else if (json_object_is_type(o, json_type_array)) {
        buf_fmt(out, "[%zu", json_object_array_length(o));
        for (size_t i = 0; i < json_object_array_length(o); i++)
            shape(json_object_array_get_idx(o, i), depth + 1, out);
    }
}

static void shape_of(const char *template, struct json_object *opts, struct buf *out)
{
    struct render_input in = {
        .template_text = template, .template_len = strlen(template), .user_opts = opts};
    autobuf struct buf text = BUF_INIT;
    struct render_error failure;
    struct err err = ERR_INIT;
    if (render_user_config(&in, &text, NULL, &failure) < 0)
        fail_msg("%s with %s: %s", template, json_object_to_json_string(opts), failure.message);
    autojson struct json_object *document = yaml_read(text.data, text.len, "document", &err);
    if (document == NULL)
        fail_msg("%s with %s: <%s> %s", template, json_object_to_json_string(opts), text.data,
                 err.text);
    shape(document, 0, out);
}

static void values_make_no_keys(void **state)
{
    autojson struct json_object *word = options(true);
    for (size_t t = 0; t < sizeof(templates) / sizeof(templates[0]); t++) {
        autobuf struct buf wanted = BUF_INIT;
        shape_of(templates[t], word, &wanted);
        for (unsigned i = 0; i < ROUNDS / 10; i++) {
            rng = t * 1000003 + i;
            autojson struct json_object *opts = options(false);
            autobuf struct buf got = BUF_INIT;
            shape_of(templates[t], opts, &got);
            if (strcmp(got.data, wanted.data) != 0)
                fail_msg("%s with %s: keys %s, wanted %s", templates[t],
                         json_object_to_json_string(opts), got.data, wanted.data);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_make_no_keys),
    };
    return cmocka_run_group_tests_name("render/property", tests, NULL, NULL);
}
