/* Pages that the service shows: templates filled with escaped text, and the files they need.
 *
 * Everything lies in <prefix>/share/sallyport/web and is read once, at start.  A template knows
 *     {{name}}                 the value, escaped for text and for quoted attributes
 *     {{#name}} ... {{/name}}  once for each value of that name that is not empty
 *     {{^name}} ... {{/name}}  when there is none
 * Inside {{#name}} the n-th turn sees the n-th value of `name` and of every `name_something`.
 *
 * Every reply carries a strict Content-Security-Policy (nothing inline, nothing from elsewhere), so
 * a mistake in escaping would still run no script. */
#ifndef SALLYPORT_WEB_PAGE_H
#define SALLYPORT_WEB_PAGE_H

#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "service/http/server.h"

struct pages;

struct page_value {
    const char *name;
    const char *value; /* NULL = "" */
};

struct pages *pages_open(const char *folder, struct err *err);
void pages_close(struct pages *p); /* NULL is fine */

/* Pure: appends the filled template. -1 with err when the template is broken. */
int page_fill(const char *template_text, const struct page_value *values, size_t n, struct buf *out,
              struct err *err);

/* Answers with the template `name` ("sign-in.html").  form_to: another origin that a form may lead
 * to, or NULL. */
void page_reply(struct req *r, struct pages *p, int status, const char *name,
                const struct page_value *values, size_t n, const char *form_to);
/* Answers with a file as it is; 404 when there is none of that name. */
void page_file(struct req *r, struct pages *p, const char *name);

#endif
