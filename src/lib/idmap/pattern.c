/* Translation of a `match` to PCRE2 and matching under a step limit.
 *
 * The rules come from observing globus_identity_mapping 0.5.0: a backslash may stand only before
 * . ? * | ( ) \ and digits; lazy and leading wildcards are refused; ^ $ + { } [ ] are plain text.
 * What is left is handed to Python's re there and to PCRE2 here, so that the spellings of Python
 * that PCRE2 reads otherwise ("\10", "\01", "(*VERB)", "(?R)") are settled in translate(). */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "lib/idmap/pattern.h"

#include <ctype.h>
#include <pcre2.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"

#define PATTERN_MAX 65536  /* bytes of one expression */
#define STEPS_MAX 200000   /* backtracking steps of one match: some milliseconds */
#define HEAP_MAX_KIB 20480 /* memory of one match */
#define GROUPS_MAX 99      /* as many as Python's \NN can name */

struct pattern {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *limits;
    struct captures captures;
    bool open_branch;
    /* Plain text that every matching source ends with: most rules are tried on sources of other
     * domains, and a comparison is a hundred times cheaper than a match. */
    char *tail;
    size_t tail_len;
};

/* What translate() keeps in mind while it reads. */
struct reader {
    const char *s;
    size_t n, i;
    struct buf *out;
    struct buf tail;
    unsigned opened;                 /* groups seen so far */
    bool closed[GROUPS_MAX + 1];     /* which of them may be referred to */
    unsigned open[GROUPS_MAX + 256]; /* stack of parentheses: number of the group or 0 */
    unsigned depth;
    bool open_branch;
    bool repeatable; /* would a * have something to repeat? */
    struct err *err;
};

static int refuse(struct reader *r, const char *why)
{
    return err_set(r->err, "%.*s - %s at position %zu", (int)r->n, r->s, why, r->i);
}

static void plain(struct reader *r, char c)
{
    /* Hexadecimal, so that no character has a meaning of its own; UTF-8 passes as it is. */
    if ((unsigned char)c < 0x80 && !isalnum((unsigned char)c))
        buf_fmt(r->out, "\\x{%x}", (unsigned char)c);
    else
        buf_char(r->out, c);
    if (r->depth == 0)
        buf_char(&r->tail, c);
    r->repeatable = true;
}

/* Python: \0 and \0oo are octal, three octal digits are octal, everything else is a reference. */
static int backslash_digit(struct reader *r)
{
    const char *d = r->s + r->i;
    size_t left = r->n - r->i, len = 1;
    while (len < 3 && len < left && isdigit((unsigned char)d[len]))
        len++;
    bool octal3 = len == 3 && d[0] <= '3' && d[0] < '8' && d[1] < '8' && d[2] < '8';
    if (d[0] == '0' || octal3) {
        unsigned value = 0;
        size_t k = 0;
        for (; k < len && d[k] < '8'; k++)
            value = value * 8 + (unsigned)(d[k] - '0');
        buf_fmt(r->out, "\\x{%x}", value);
        r->i += k;
    } else {
        size_t k = len >= 2 ? 2 : 1;
        unsigned group = (unsigned)(d[0] - '0');
        if (k == 2)
            group = group * 10 + (unsigned)(d[1] - '0');
        if (group > GROUPS_MAX || !r->closed[group])
            return refuse(r, "Invalid mapping: invalid group reference");
        buf_fmt(r->out, "\\g{%u}", group);
        r->i += k;
    }
    buf_clear(&r->tail);
    r->repeatable = true;
    return 0;
}

static bool starts(const struct reader *r, const char *what)
{
    size_t n = strlen(what);
    return r->n - r->i >= n && memcmp(r->s + r->i, what, n) == 0;
}

/* r->i is behind "(?".  Copies what introduces the group; *captures tells a named group. */
static int extension(struct reader *r, bool *captures)
{
    static const char *const simple[] = {":", "=", "!", "<=", "<!", ">"};
    for (size_t k = 0; k < sizeof(simple) / sizeof(simple[0]); k++)
        if (starts(r, simple[k])) {
            buf_fmt(r->out, "(?%s", simple[k]);
            r->i += strlen(simple[k]);
            return 0;
        }
    if (starts(r, "P<")) {
        size_t from = r->i;
        for (r->i += 2; r->i < r->n && r->s[r->i] != '>'; r->i++)
            if (!isalnum((unsigned char)r->s[r->i]) && r->s[r->i] != '_')
                return refuse(r, "Invalid mapping: bad character in group name");
        if (r->i == r->n)
            return refuse(r, "Invalid mapping: missing >, unterminated name");
        r->i++;
        buf_str(r->out, "(?");
        buf_add(r->out, r->s + from, r->i - from);
        *captures = true;
        return 0;
    }
    size_t k = r->i;
    while (k < r->n && strchr("imsx-", r->s[k]) != NULL)
        k++;
    if (k > r->i && k < r->n && r->s[k] == ':') {
        buf_str(r->out, "(?");
        buf_add(r->out, r->s + r->i, k + 1 - r->i);
        r->i = k + 1;
        return 0;
    }
    return refuse(r, "Invalid mapping: unknown extension");
}

static int parenthesis(struct reader *r)
{
    if (starts(r, "(?#")) {
        const char *end = memchr(r->s + r->i, ')', r->n - r->i);
        if (end == NULL)
            return refuse(r, "Invalid mapping: missing ), unterminated comment");
        r->i = (size_t)(end - r->s) + 1;
        return 0;
    }
    bool captures = true;
    buf_clear(&r->tail);
    r->i++;
    if (r->i < r->n && r->s[r->i] == '?') {
        captures = false;
        r->i++;
        if (extension(r, &captures) != 0)
            return -1;
    } else {
        buf_char(r->out, '(');
    }
    if (r->depth == sizeof(r->open) / sizeof(r->open[0]) || (captures && r->opened == GROUPS_MAX))
        return refuse(r, "Invalid mapping: too many groups");
    r->open[r->depth++] = captures ? ++r->opened : 0;
    r->repeatable = false;
    return 0;
}

/* One piece of the expression to r->out. */
static int translate_one(struct reader *r)
{
    char c = r->s[r->i];
    switch (c) {
    case '\\':
        r->i++;
        if (isdigit((unsigned char)r->s[r->i]))
            return backslash_digit(r);
        plain(r, r->s[r->i++]);
        return 0;
    case '(':
        return parenthesis(r);
    case ')':
        if (r->depth == 0)
            return refuse(r, "Invalid mapping: unbalanced parenthesis");
        r->closed[r->open[--r->depth]] = true;
        r->repeatable = true;
        buf_clear(&r->tail);
        break;
    case '|':
        if (r->depth == 0)
            r->open_branch = true;
        r->repeatable = false;
        buf_clear(&r->tail);
        break;
    case '*':
    case '?':
        if (!r->repeatable)
            return refuse(r, "Invalid mapping: nothing to repeat");
        r->repeatable = false;
        buf_clear(&r->tail);
        break;
    case '.':
        r->repeatable = true;
        buf_clear(&r->tail);
        break;
    default:
        plain(r, c);
        r->i++;
        return 0;
    }
    buf_char(r->out, c);
    r->i++;
    return 0;
}

/* The original looks at each backslash by itself, also at the second of two. */
static int check_escapes(const char *s, size_t n, struct err *err)
{
    size_t run = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] != '\\') {
            run = 0;
            continue;
        }
        run++;
        if (i + 1 < n && strchr(".?*|()\\0123456789", s[i + 1]) == NULL)
            return err_set(err, "%.*s - Invalid \\ expression: \\%c", (int)n, s, s[i + 1]);
    }
    if (run % 2 == 1)
        return err_set(err, "%.*s - Invalid \\ expression: a backslash at the end", (int)n, s);
    for (size_t i = 1; i < n; i++)
        if (s[i] == '?' && (s[i - 1] == '*' || s[i - 1] == '?'))
            return err_set(err, "%.*s - Invalid ? expression: %.2s", (int)n, s, s + i - 1);
    if (n > 0 && (s[0] == '*' || s[0] == '?'))
        return err_set(err, "%.*s - Invalid leading wildcard expression: %c", (int)n, s, s[0]);
    return 0;
}

static int translate(struct reader *r, bool literal)
{
    if (literal) {
        for (; r->i < r->n; r->i++) {
            if (r->s[r->i] == '\\' && r->i + 1 < r->n && isdigit((unsigned char)r->s[r->i + 1]))
                return refuse(r, "Invalid mapping: invalid group reference");
            plain(r, r->s[r->i]);
        }
        return 0;
    }
    if (check_escapes(r->s, r->n, r->err) != 0)
        return -1;
    while (r->i < r->n)
        if (translate_one(r) != 0)
            return -1;
    if (r->depth > 0)
        return refuse(r, "Invalid mapping: missing ), unterminated subpattern");
    return 0;
}

static int compile(struct pattern *p, const struct buf *text, bool ignore_case, const char *match,
                   size_t n, struct err *err)
{
    int code;
    PCRE2_SIZE at;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
    if (ignore_case)
        options |= PCRE2_CASELESS;
    p->code = pcre2_compile((PCRE2_SPTR)text->data, text->len, options, &code, &at, context);
    pcre2_compile_context_free(context);
    if (p->code == NULL) {
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(code, why, sizeof(why));
        return err_set(err, "%.*s - Invalid mapping: %s", (int)n, match, (const char *)why);
    }
    uint32_t groups;
    pcre2_pattern_info(p->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    p->captures.count = groups;
    p->captures.at = xcalloc(groups + 1, sizeof(*p->captures.at));
    p->data = pcre2_match_data_create_from_pattern(p->code, NULL);
    p->limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(p->limits, STEPS_MAX);
    pcre2_set_heap_limit(p->limits, HEAP_MAX_KIB);
    return 0;
}

struct pattern *pattern_compile(const char *match, size_t n, bool literal, bool ignore_case,
                                struct err *err)
{
    if (n > PATTERN_MAX) {
        err_set(err, "an expression of %zu bytes; at most %d are accepted", n, PATTERN_MAX);
        return NULL;
    }
    autobuf struct buf text = BUF_INIT;
    struct reader *r = xcalloc(1, sizeof(*r));
    *r = (struct reader){.s = match, .n = n, .out = &text, .err = err};
    buf_str(&text, "\\A(?:");
    struct pattern *p = xcalloc(1, sizeof(*p));
    int rc = translate(r, literal);
    buf_str(&text, ")\\z");
    if (rc == 0)
        rc = compile(p, &text, ignore_case, match, n, err);
    if (rc == 0) {
        p->open_branch = r->open_branch;
        if (!r->open_branch && !ignore_case) {
            p->tail_len = r->tail.len;
            p->tail = buf_take(&r->tail);
        }
    }
    buf_free(&r->tail);
    free(r);
    if (rc == 0)
        return p;
    pattern_free(p);
    return NULL;
}

void pattern_free(struct pattern *p)
{
    if (p == NULL)
        return;
    pcre2_match_context_free(p->limits);
    pcre2_match_data_free(p->data);
    pcre2_code_free(p->code);
    free(p->captures.at);
    free(p->tail);
    free(p);
}

bool pattern_has_open_branch(const struct pattern *p)
{
    return p->open_branch;
}

int pattern_match(struct pattern *p, const char *source, size_t n, struct captures *out,
                  struct err *err)
{
    if (n < p->tail_len ||
        (p->tail_len > 0 && memcmp(source + n - p->tail_len, p->tail, p->tail_len) != 0))
        return 0;
    int rc = pcre2_match(p->code, (PCRE2_SPTR)source, n, 0, 0, p->data, p->limits);
    if (rc == PCRE2_ERROR_NOMATCH || (rc <= PCRE2_ERROR_UTF8_ERR1 && rc >= PCRE2_ERROR_UTF8_ERR21))
        return 0;
    if (rc < 0)
        return err_set(err,
                       "(IdentityMappingError) the expression takes too many steps on a "
                       "source of %zu bytes; write it without nested repetition",
                       n);
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(p->data);
    for (size_t i = 0; i < p->captures.count; i++) {
        bool took_part = v[2 * i + 2] != PCRE2_UNSET;
        p->captures.at[i] = (struct capture){.p = took_part ? source + v[2 * i + 2] : NULL,
                                             .n = took_part ? v[2 * i + 3] - v[2 * i + 2] : 0};
    }
    *out = p->captures;
    return 1;
}
