/* Templates against texts and errors that Jinja2 3.1.6 gave (kinds and names for errors). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/template/template.h"

static const char CONTEXT[] = "{\"s\":\"\\\"it's\\\"\",\"i\":7,\"f\":1e22,\"t\":true,\"l\":[1,2,3],"
                              "\"o\":{\"a\":{\"b\":\"deep\"},\"k\":[]},\"n\":\"null\"}";

static int render(const char *text, const char *dir, struct buf *out, struct template_error *err)
{
    autojson struct json_object *context = json_tokener_parse(CONTEXT);
    struct template_input in = {
        .name = "t.j2", .text = text, .len = strlen(text), .dir = dir, .context = context};
    return template_render(&in, out, NULL, err);
}

static void renders_as_jinja2(void **state)
{
    static const struct {
        const char *template, *text;
    } t[] = {
        {"a\n", "a"},
        {"a\n\n", "a\n"},
        {"a\r\nb", "a\nb"},
        {"{{ s }} {{ i }} {{ t }} {{ n }}", "\"it's\" 7 True null"},
        {"{{ f }} {{ 1.0 }} {{ 1e-5 }} {{ 0.1 + 0.2 }}", "1e+22 1.0 1e-05 0.30000000000000004"},
        {"{{ [1, 'a', none, 1.5] }}", "[1, 'a', None, 1.5]"},
        {"{{ {'a': 1, 'b': [true]} }}", "{'a': 1, 'b': [True]}"},
        {"{{ (1,) }}{{ (1, 2) }}", "(1,)(1, 2)"},
        {"{{ o.a.b }}{{ o['a']['b'] }}", "deepdeep"},
        {"{% for x in l %}{{ loop.index }}{{ ',' if not loop.last }}{% endfor %}", "1,2,3"},
        {"{% for k, v in o.items() %}{{ k }};{% endfor %}", "a;k;"},
        {"{% set ns = namespace(n=0) %}{% for x in l %}{% set ns.n = ns.n + x %}{% endfor %}{{ "
         "ns.n }}",
         "6"},
        {"{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "12"},
        {"{% set x %}a{{ i }}{% endset %}{{ x }}", "a7"},
        {"{% filter upper %}abc{% endfilter %}", "ABC"},
        {"{% raw %}{{ x }}{% endraw %}", "{{ x }}"},
        {"{% with a = 3 %}{{ a }}{% endwith %}", "3"},
        {"{{ missing|default('d') }}{{ ''|default('e', true) }}", "de"},
        {"{{ 'x' if false }}", ""},
        {"{{ 7 // 2 }} {{ 7 / 2 }} {{ -7 % 3 }} {{ 2 ** 10 }}", "3 3.5 2 1024"},
        {"{{ l|length }} {{ l|sum }} {{ l|join('-') }} {{ l|last }}", "3 6 1-2-3 3"},
        {"{{ s|int }} {{ '5'|int }} {{ '1.9'|int }} {{ 'x'|int(3) }} {{ '0x1f'|int(0, 16) }}",
         "0 5 1 3 31"},
        {"{{ 'a b'.split() }} {{ 'a,b'.split(',') }}", "['a', 'b'] ['a', 'b']"},
        {"{{ 'abc'[1:] }}{{ 'abc'[::-1] }}{{ l[-1] }}", "bccba3"},
        {"{{ range(3)|list }} {{ range(1, 7, 2)|list }}", "[0, 1, 2] [1, 3, 5]"},
        {"{{ 'a'|center(5) }}|{{ 'a'.ljust(3) }}|{{ '7'.zfill(3) }}", "  a  |a  |007"},
        {"{{ '%s-%03d'|format('a', 7) }}", "a-007"},
        {"{{ 1 is number }}{{ 'a' is string }}{{ l is sequence }}{{ o is mapping }}",
         "TrueTrueTrueTrue"},
        {"{{ 5 is divisibleby 5 }}{{ x is defined }}{{ 3 in l }}", "TrueFalseTrue"},
        {"{{ 'abc'|upper|lower|title|capitalize }}", "Abc"},
        {"{{ {'b': 1, 'a': 2}|dictsort }}", "[('a', 2), ('b', 1)]"},
        {"{{ {'a': '<'}|tojson }}", "{\"a\": \"\\u003c\"}"},
        {"{%- if true -%}  x  {%- endif %}", "x"},
        {"{% call(x) m() %}{{ x }}{% endcall %}{% macro m() %}[{{ caller(1) }}]{% endmacro %}",
         NULL},
        {"{{ s|shell_escape }}", "\"'it'\\\"'\\\"'s'\""},
        {"{{ i|shell_escape }}{{ n|shell_escape }}", "7null"},
        {"{{ \"a\\U0001f600\"|length }}", NULL},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        autobuf struct buf out = BUF_INIT;
        struct template_error err = {0};
        if (t[i].text == NULL)
            continue;
        if (render(t[i].template, NULL, &out, &err) < 0)
            fail_msg("%s: %s (%s)", t[i].template, err.message, err.kind);
        if (strcmp(out.data != NULL ? out.data : "", t[i].text) != 0)
            fail_msg("%s: gave %s, wanted %s", t[i].template, out.data, t[i].text);
    }
}

static void fails_as_jinja2(void **state)
{
    static const struct {
        const char *template, *kind, *says;
    } t[] = {
        {"{{ x }}", "undefined", "'x' is undefined"},
        {"{{ x.y }}", "undefined", "'x' is undefined"},
        {"{{ x ~ 1 }}", "undefined", "'x' is undefined"},
        {"{% if x %}{% endif %}", "undefined", "'x' is undefined"},
        {"{% for a in x %}{% endfor %}", "undefined", "'x' is undefined"},
        {"{{ x|upper }}", "undefined", "'x' is undefined"},
        {"{{ x() }}", "undefined", "'x' is undefined"},
        {"{{ x|escape }}", "undefined", "'x' is undefined"},
        {"{{ x|indent }}", "undefined", "'x' is undefined"},
        {"{{ x|join }}", "undefined", "'x' is undefined"},
        {"{{ x|truncate }}", "undefined", "'x' is undefined"},
        {"{{ x|int }}", "undefined", "'x' is undefined"},
        {"{{ ','.join(x) }}", "undefined", "'x' is undefined"},
        {"{{ x is eq 1 }}", "undefined", "'x' is undefined"},
        {"{{ x is odd }}", "undefined", "'x' is undefined"},
        {"{{ 'a'|replace('a', x) }}", "undefined", "'x' is undefined"},
        {"{{ o.zz }}", "undefined", "'dict object' has no attribute 'zz'"},
        {"{{ o['zz'] }}", "undefined", "'dict object' has no attribute 'zz'"},
        {"{{ s.zz }}", "undefined", "'str object' has no attribute 'zz'"},
        {"{{ s.__class__ }}", "security",
         "access to attribute '__class__' of 'str' object is unsafe."},
        {"{{ s|attr('__class__') }}", "security", "'__class__'"},
        {"{{ o['__init__'] }}", "security", "'__init__'"},
        {"{{ o.__getitem__('a') }}", "security", "'__getitem__'"},
        {"{{ '{0.__class__}'.format(i) }}", "security", "'__class__'"},
        {"{{ range(100001) }}", "arithmetic", "Range too big"},
        {"{{ 1 / 0 }}", "arithmetic", "zero"},
        {"{{ 1 // 0 }}", "arithmetic", "zero"},
        {"{{ 1 % 0 }}", "arithmetic", "zero"},
        {"{{ i|nosuch }}", "syntax", "No filter named 'nosuch'."},
        {"{{ i is nosuch }}", "syntax", "No test named 'nosuch'."},
        {"{% nosuch %}", "syntax", "Encountered unknown tag 'nosuch'."},
        {"{% if %}", "syntax", "Expected an expression, got 'end of statement block'"},
        {"{{ ", "syntax", ""},
        {"{% if true %}", "syntax", ""},
        {"{{ 1 + 'a' }}", "type", ""},
        {"{{ i() }}", "type", "callable"},
        {"{% include 'x' %}", "type", "no loader for this environment specified"},
        {"{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
         "limit", "steps"},
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "limit", "too deeply"},
        {"{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}"
         "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
         "limit", "steps"},
        {"{% set x = 'a' * 100000 %}{% for i in range(100) %}{{ x }}{% endfor %}", "limit", ""},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        autobuf struct buf out = BUF_INIT;
        struct template_error err = {0};
        if (render(t[i].template, NULL, &out, &err) == 0)
            fail_msg("%s: gave %s, wanted an error", t[i].template, out.data);
        if (strcmp(err.kind, t[i].kind) != 0 || strstr(err.message, t[i].says) == NULL)
            fail_msg("%s: %s: %s, wanted %s: %s", t[i].template, err.kind, err.message, t[i].kind,
                     t[i].says);
        template_error_free(&err);
    }
}

/* A chain of unary operators is walked by recursion: it must not end the process. */
static void survives_long_chains(void **state)
{
    static const char *const words[] = {"not ", "-", "- ", "(", "[", "{'a':", "a|b", "a.b", "1+"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        autobuf struct buf text = BUF_INIT, out = BUF_INIT;
        struct template_error err = {0};
        buf_str(&text, "{{ ");
        for (int n = 0; n < 50000; n++)
            buf_str(&text, words[i]);
        buf_str(&text, "1 }}");
        if (render(text.data, NULL, &out, &err) < 0)
            template_error_free(&err);
    }
}

static void write_file(const char *dir, const char *name, const char *text)
{
    autofree char *path = xasprintf("%s/%s", dir, name);
    struct err err = ERR_INIT;
    if (fs_write(path, text, strlen(text), 0600, false, &err) < 0)
        fail_msg("%s", err.text);
}

static void includes_from_its_folder(void **state)
{
    static const struct {
        const char *template, *text, *kind;
    } t[] = {
        {"{% include 'part' %}", "7 part", NULL},
        {"{% include '/part' %}{% include './part' %}", "7 part7 part", NULL},
        {"{% include ['no', 'part'] %}", "7 part", NULL},
        {"{% include 'no' ignore missing %}x", "x", NULL},
        {"{% extends 'base' %}{% block b %}mine {{ super() }}{% endblock %}", "<mine base>", NULL},
        {"{% import 'lib' as lib %}{{ lib.m(2) }}", "m2", NULL},
        {"{% from 'lib' import m as n %}{{ n(3) }}", "m3", NULL},
        {"{% include 'sub/in' %}", "in", NULL},
        {"{% include 'no' %}", NULL, "template-not-found"},
        {"{% include '../part' %}", NULL, "template-not-found"},
        {"{% include 'sub/../part' %}", NULL, "template-not-found"},
        {"{% include 'sub' %}", NULL, "template-not-found"},
        {"{% include 'bad' %}", NULL, "undefined"},
    };
    char dir[] = "/tmp/template_test.XXXXXX";
    assert_non_null(mkdtemp(dir));
    autofree char *sub = xasprintf("%s/sub", dir);
    assert_int_equal(fs_mkdirs(sub, 0700, NULL), 0);
    write_file(dir, "part", "{{ i }} part\n");
    write_file(dir, "base", "<{% block b %}base{% endblock %}>");
    write_file(dir, "lib", "{% macro m(x) %}m{{ x }}{% endmacro %}");
    write_file(dir, "bad", "\n{{ nosuch }}");
    write_file(sub, "in", "in");
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        autobuf struct buf out = BUF_INIT;
        struct template_error err = {0};
        int rc = render(t[i].template, dir, &out, &err);
        if (t[i].text != NULL && (rc < 0 || strcmp(out.data, t[i].text) != 0))
            fail_msg("%s: %s %s", t[i].template, out.data, rc < 0 ? err.message : "");
        if (t[i].kind != NULL && (rc == 0 || strcmp(err.kind, t[i].kind) != 0))
            fail_msg("%s: %s (%s)", t[i].template, rc < 0 ? err.message : out.data, err.kind);
        if (rc < 0)
            assert_null(strstr(err.message, dir));
        if (t[i].kind != NULL && strcmp(t[i].kind, "undefined") == 0) {
            assert_string_equal(err.name, "bad");
            assert_int_equal(err.line, 2);
        }
        if (rc < 0)
            template_error_free(&err);
    }
    assert_int_equal(fs_remove_tree(dir, NULL), 0);
}

static void reports_what_was_looked_into(void **state)
{
    static const char text[] = "{{ o.k }}{{ i }}";
    autojson struct json_object *context = json_tokener_parse(CONTEXT);
    autojson struct json_object *watched = json_tokener_parse("[\"o\",\"s\"]");
    autojson struct json_object *used = NULL;
    autobuf struct buf out = BUF_INIT;
    struct template_error err;
    struct template_input in = {
        .name = "t", .text = text, .len = sizeof(text) - 1, .context = context, .watched = watched};
    assert_int_equal(template_render(&in, &out, &used, &err), 0);
    assert_string_equal(out.data, "[]7");
    assert_string_equal(json_object_to_json_string_ext(used, JSON_C_TO_STRING_PLAIN), "[\"o\"]");
}

static void names_its_variables(void **state)
{
    static const char text[] = "{% set a = 1 %}{{ a }}{{ b }}{{ c.d }}{{ range(2) }}"
                               "{% for e in f %}{{ e }}{{ loop.index }}{% endfor %}";
    struct template_input in = {.name = "t", .text = text, .len = sizeof(text) - 1};
    struct template_error err;
    autojson struct json_object *names = template_variables(&in, &err);
    assert_string_equal(json_object_to_json_string_ext(names, JSON_C_TO_STRING_PLAIN),
                        "[\"b\",\"c.d\",\"f\"]");
}

/* The next three are docs/differences-templates.md. */
static void differs_refuses(void **state)
{
    static const struct {
        const char *template, *says;
    } t[] = {
        {"{{ '%s' % i }}", "%"},
        {"{% set _ = l.append(4) %}", "in place"},
        {"{% set _ = o.update({'z': 1}) %}", "in place"},
        {"{% macro m() %}{{ varargs }}{% endmacro %}{{ m(1) }}", "too many arguments"},
        {"{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(1) }}", "'a' is undefined"},
        {"{% print 1 %}", "unknown tag 'print'"},
        {"{{ 'http://a'|urlize }}", "No filter named 'urlize'."},
        {"{{ 'a'.encode() }}", "encode"},
        {"{{ o.items }}", "has no attribute 'items'"},
        {"{{ 2 ** 200 }}", "unable to calculate"},
        {"{{ '%r'|format('a') }}", "invalid conversion type 'r'"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        autobuf struct buf out = BUF_INIT;
        struct template_error err = {0};
        if (render(t[i].template, NULL, &out, &err) == 0)
            fail_msg("%s: gave %s; take it out of the list of differences", t[i].template,
                     out.data);
        if (strstr(err.message, t[i].says) == NULL)
            fail_msg("%s: %s, wanted %s", t[i].template, err.message, t[i].says);
        template_error_free(&err);
    }
}

static void check_texts(const char *const (*t)[2], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        autobuf struct buf out = BUF_INIT;
        struct template_error err = {0};
        if (render(t[i][0], NULL, &out, &err) < 0)
            fail_msg("%s: %s", t[i][0], err.message);
        if (strcmp(out.data != NULL ? out.data : "", t[i][1]) != 0)
            fail_msg("%s: gave %s, wanted %s", t[i][0], out.data, t[i][1]);
    }
}

static void differs_gives(void **state)
{
    static const char *const t[][2] = {
        {"{{ range(3) }}", "[0, 1, 2]"},
        {"{{ {'a': 1}.items() }}", "[('a', 1)]"},
        {"{{ 1e22 ~ '' }}", "10000000000000000000000.0"},
        {"{{ {'b': 'x y'}|urlencode }}", "b=x%20y"},
        {"{{ range(3)|string }}", "[0, 1, 2]"},
        {"{{ nope|pprint }}", ""},
        {"{{ 1.5|filesizeformat }}", "1.5 Bytes"},
        {"{{ 'x'|int(none) }}", "0"},
        {"{{ 'x'|float(none) }}", "0.0"},
    };
    check_texts(t, sizeof(t) / sizeof(t[0]));
}

static void differs_accepts(void **state)
{
    static const char *const t[][2] = {
        {"{% do range(1) %}x", "x"},
        {"{{ 1 < 'a' }}", "True"},
        {"{{ [1, 'a']|sort }}", "[1, 'a']"},
        {"{{ o.a|attr('b') }}", "deep"},
        {"{{ [3, x]|max }}", "3"},
        {"{% include 'x' ignore missing %}", ""},
        {"{% autoescape true %}{{ '<' }}{% endautoescape %}", "<"},
    };
    check_texts(t, sizeof(t) / sizeof(t[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders_as_jinja2),
        cmocka_unit_test(fails_as_jinja2),
        cmocka_unit_test(survives_long_chains),
        cmocka_unit_test(includes_from_its_folder),
        cmocka_unit_test(reports_what_was_looked_into),
        cmocka_unit_test(names_its_variables),
        cmocka_unit_test(differs_refuses),
        cmocka_unit_test(differs_gives),
        cmocka_unit_test(differs_accepts),
    };
    return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
