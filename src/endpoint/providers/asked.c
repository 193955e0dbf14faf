#include "endpoint/providers/asked.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"

#define NOTE_MAX 300
#define COLUMNS 8

void asked_init(struct asked *a, const char *const *ids, size_t n)
{
    *a = (struct asked){.ids = ids, .n = n, .told = xcalloc(n + 1, sizeof(*a->told))};
    for (size_t i = 0; i < n; i++)
        a->told[i].exit_code = -1;
}

void asked_free(struct asked *a)
{
    for (size_t i = 0; i < a->n && a->told != NULL; i++)
        free(a->told[i].note);
    free(a->told);
    a->told = NULL;
}

static bool same_job(const char *asked, const char *told, size_t n)
{
    size_t len = strlen(asked), common = len < n ? len : n;
    if (n == 0 || len == 0 || strncmp(asked, told, common) != 0)
        return false;
    if (len == n)
        return true;
    if (len < n) /* qualified */
        return told[len] == '.';
    /* Shortened, within the host name: never within the number, or 1 would be 12. */
    return asked[n] == '.' || memchr(told, '.', n) != NULL;
}

static struct told *find(struct asked *a, const char *id, size_t n)
{
    struct told *found = NULL;
    for (size_t i = 0; i < a->n; i++) {
        if (!same_job(a->ids[i], id, n))
            continue;
        found = &a->told[i];
        if (strlen(a->ids[i]) == n) /* nothing can be better */
            break;
    }
    return found != NULL && found->what == TOLD_NOTHING ? found : NULL;
}

struct told *asked_state(struct asked *a, const char *id, size_t id_len, enum job_state state)
{
    struct told *t = find(a, id, id_len);
    a->understood += state != JOB_UNKNOWN;
    if (t == NULL)
        return NULL;
    t->what = TOLD_STATE;
    t->state = state;
    return t;
}

void asked_gone(struct asked *a, const char *id, size_t id_len)
{
    struct told *t = find(a, id, id_len);
    if (t != NULL)
        t->what = TOLD_GONE;
}

void told_note(struct told *t, const char *note)
{
    if (t == NULL || note == NULL || *note == '\0')
        return;
    free(t->note);
    t->note = xstrndup(note, strnlen(note, NOTE_MAX));
    for (char *p = t->note; *p != '\0'; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
}

int words_of_line(const char **text, struct word *words, size_t max)
{
    const char *p = *text;
    size_t n = 0;
    if (*p == '\0')
        return -1;
    for (;;) {
        p += strspn(p, " \t\r\v\f");
        if (*p == '\0' || *p == '\n')
            break;
        size_t len = strcspn(p, " \t\r\v\f\n");
        if (n < max)
            words[n++] = (struct word){p, len};
        p += len;
    }
    *text = p + (*p == '\n');
    return (int)n;
}

bool word_is(struct word w, const char *text)
{
    return strlen(text) == w.n && memcmp(w.p, text, w.n) == 0;
}

bool word_is_heading(struct word w)
{
    bool rule = w.n >= 3;
    for (size_t i = 0; i < w.n && rule; i++)
        rule = w.p[i] == '-' || w.p[i] == '=';
    return rule || (w.n >= 3 && strncasecmp(w.p, "job", 3) == 0);
}

enum job_state state_of_word(const struct state_word *table, struct word w)
{
    for (; table->word != NULL; table++)
        if (strlen(table->word) == w.n && strncasecmp(table->word, w.p, w.n) == 0)
            return table->state;
    return JOB_UNKNOWN;
}

void asked_read_table(struct asked *a, const char *text, unsigned column,
                      const struct state_word *table)
{
    struct word w[COLUMNS];
    if (column >= COLUMNS)
        return;
    for (int n; (n = words_of_line(&text, w, column + 1)) >= 0;)
        if (n == (int)column + 1 && isdigit((unsigned char)*w[0].p))
            asked_state(a, w[0].p, w[0].n, state_of_word(table, w[column]));
        else
            a->understood += n > 0 && word_is_heading(w[0]);
}
