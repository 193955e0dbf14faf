/* Foreign text that sign-in reads: Basic headers, cookies, scopes, names, verifiers, redirect
 * addresses, stored hashes, the head of a CONNECT, and text put into pages. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "service/auth/b64url.h"
#include "service/auth/params.h"
#include "service/auth/people.h"
#include "service/auth/pkce.h"
#include "service/auth/policy.h"
#include "service/auth/scopes.h"
#include "service/auth/secret.h"
#include "service/http/target.h"
#include "service/http/tunnel.h"
#include "service/web/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void names(const char *text)
{
    struct err err = ERR_INIT;
    char *out = NULL;
    if (person_username(text, "here", &out, &err) == 0) {
        assert(strchr(out, '@') != NULL && strpbrk(out, " \n<>\"'") == NULL);
        policy_domain_fits("*.example.org", out);
    }
    free(out);
}

static void scopes(const char *text)
{
    struct scopes s;
    struct err err = ERR_INIT;
    if (scopes_parse(text, &s, &err) == 0)
        assert(s.of[0] != NULL || s.of[1] != NULL);
    scopes_free(&s);
}

static void redirects(const char *text)
{
    struct client c = {.redirect_uris = (char *)(uintptr_t) "https://app.example.org/back\n"};
    bool own = false;
    if (params_redirect_is_fine(text, &c, "http://us:5000", "https://us.example.org", &own))
        assert(own ? strstr(text, "v2/web/auth-code") != NULL
                   : strcmp(text, "https://app.example.org/back") == 0);
}

static void basic(const char *text)
{
    char *password = NULL, *user = basic_decode(text, &password);
    if (user != NULL)
        assert(strchr(user, ':') == NULL && password != NULL);
    wipe_free(user);
}

/* Whatever the value, it adds no markup; whatever the template, it ends. */
static void pages(const char *text)
{
    const struct page_value values[] = {{"x", text}, {"item", "1"}, {"item", "2"}};
    struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    int rc = page_fill("{{x}}", values, 3, &out, &err);
    assert(rc == 0 && (out.data == NULL || strpbrk(out.data, "<>\"'") == NULL));
    buf_clear(&out);
    if (strlen(text) < 512)
        rc = page_fill(text, values, 3, &out, &err);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = xstrndup((const char *)data, size);
    struct buf b = BUF_INIT, back = BUF_INIT;
    names(text);
    scopes(text);
    redirects(text);
    basic(text);
    pages(text);
    secret_is_formed(text, SECRET_ACCESS);
    if (pkce_challenge_is_formed(text))
        pkce_matches(text, text);
    pkce_verifier_is_formed(text);
    tunnel_judge((const char *)data, size, "us.example.org");
    if (b64url_decode(&b, text, strlen(text)) == 0) {
        b64url_add(&back, b.data, b.len);
        assert(strcmp(back.data == NULL ? "" : back.data, text) == 0); /* one text a value */
    }
    buf_free(&b);
    buf_free(&back);
    free(text);
    return 0;
}
