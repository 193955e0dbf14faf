/* Templates: values are escaped, sections repeat, broken templates are errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "service/web/page.h"

static const struct page_value values[] = {
    {"name", "A & <b> \"c\" 'd'"},
    {"empty", ""},
    {"none", NULL},
    {"item", "one"},
    {"item_url", "/1"},
    {"item", "two"},
    {"item_url", "/2"},
    {"yes", "1"},
    {"brace", "{{name}}"},
};

static void fills(void **state)
{
    static const struct {
        const char *template_text, *wanted; /* NULL: broken */
    } cases[] = {
        {"", ""},
        {"plain { } text", "plain { } text"},
        {"<i>{{name}}</i>", "<i>A &amp; &lt;b&gt; &quot;c&quot; &#39;d&#39;</i>"},
        {"[{{unknown}}{{none}}{{empty}}]", "[]"},
        {"{{brace}}", "{{name}}"}, /* a value is never a template */
        {"{{#item}}<a href=\"{{item_url}}\">{{item}}</a>{{/item}}",
         "<a href=\"/1\">one</a><a href=\"/2\">two</a>"},
        {"{{#yes}}{{name}}{{/yes}}{{#empty}}x{{/empty}}{{#unknown}}x{{/unknown}}",
         "A &amp; &lt;b&gt; &quot;c&quot; &#39;d&#39;"},
        {"{{^yes}}no{{/yes}}{{^empty}}none{{/empty}}{{^unknown}}none{{/unknown}}", "nonenone"},
        {"{{#yes}}{{#item}}{{item}},{{/item}}{{/yes}}", "one,two,"},
        {"{{name", NULL},
        {"{{}}", NULL},
        {"{{#yes}}", NULL},
        {"{{/yes}}", NULL},
        {"{{#yes}}{{/item}}", NULL},
        {"{{#yes}}{{#yes}}{{#yes}}{{#yes}}{{#yes}}{{/yes}}{{/yes}}{{/yes}}{{/yes}}{{/yes}}", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = BUF_INIT;
        struct err err = ERR_INIT;
        int rc =
            page_fill(cases[i].template_text, values, sizeof values / sizeof *values, &out, &err);
        assert_int_equal(rc, cases[i].wanted == NULL ? -1 : 0);
        if (rc == 0)
            assert_string_equal(out.data == NULL ? "" : out.data, cases[i].wanted);
        else
            assert_string_not_equal(err.text, "");
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fills)};
    return cmocka_run_group_tests_name("service/web/page", tests, NULL, NULL);
}
