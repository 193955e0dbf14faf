/* See refusal.h. */
#include "manager/listener/refusal.h"

#include <ctype.h>
#include <string.h>

#include "lib/base/alloc.h"

#define HIDDEN_MAX 16

static char *hidden[HIDDEN_MAX] = {(char *)"/etc", (char *)"/root", (char *)"/proc",
                                   (char *)"/usr/libexec"};
static size_t hidden_count = 4;

void refusal_hide(const char *folder)
{
    if (folder && folder[0] == '/' && folder[1] && hidden_count < HIDDEN_MAX)
        hidden[hidden_count++] = xstrdup(folder);
}

/* Where the path that begins at p ends; p is a '/'. */
static size_t path_length(const char *p)
{
    return strcspn(p, " \t\n'\"()[]<>,;:`");
}

static bool is_hidden(const char *p, size_t n)
{
    for (size_t i = 0; i < hidden_count; i++) {
        size_t len = strlen(hidden[i]);
        if (n >= len && memcmp(p, hidden[i], len) == 0 && (n == len || p[len] == '/'))
            return true;
    }
    return false;
}

void refusal_clean(const char *text, struct buf *out)
{
    for (const char *p = text; *p;) {
        bool may_begin = p == text || !(isalnum((unsigned char)p[-1]) || strchr("/.-_:", p[-1]));
        size_t n = *p == '/' && may_begin ? path_length(p) : 0;
        if (n == 0 || !is_hidden(p, n)) {
            buf_char(out, *p++);
            continue;
        }
        const char *last = memrchr(p, '/', n);
        buf_add(out, last + 1, n - (size_t)(last + 1 - p));
        p += n;
    }
}

static void same_notice(struct command_fault *f)
{
    buf_add(&f->notice, f->log.data, f->log.len);
}

void refusal_untrusted(const struct command *c, struct command_fault *f)
{
    f->level = LOG_L_ERROR;
    buf_str(&f->log, "Ignoring start request for untrusted identity.");
    command_id_lines(c, &f->log);
    same_notice(f);
}

void refusal_unmapped(const struct command *c, struct command_fault *f)
{
    f->level = LOG_L_ERROR;
    buf_str(&f->log, "Identity failed to map to a local user name.  (LookupError) ");
    command_id_lines(c, &f->log);
    same_notice(f);
}

void refusal_no_account(const struct command *c, const char *account, struct command_fault *f)
{
    autobuf struct buf lines = BUF_INIT;
    buf_str(&lines, "  Identity mapped to a local user name, but local user does not exist."
                    "\n  Local user name: ");
    command_word(&lines, account);
    command_id_lines(c, &lines);
    f->level = LOG_L_ERROR;
    buf_str(&f->log, "(KeyError) \"getpwnam(): name not found: '");
    command_word(&f->log, account);
    buf_fmt(&f->log, "'\"\n%s", lines.data);
    buf_fmt(&f->notice, "(KeyError)\n%s", lines.data);
}

void refusal_busy(bool for_this_user, struct command_fault *f)
{
    f->level = LOG_L_WARNING;
    buf_fmt(&f->log, "Too many start requests are waiting %s; try again in a minute",
            for_this_user ? "for this identity" : "at this endpoint");
    same_notice(f);
}

static void same_user(const struct table_message *m, const struct command *c, const char *account,
                      struct command_fault *f)
{
    f->level = LOG_L_ERROR;
    buf_fmt(&f->log,
            "(InvalidUserError) Requested UID is same as this manager's, or has its rights; "
            "refusing to start a user endpoint for it  (%s)\n  Local user name: %s",
            m->text.admin, account);
    command_id_lines(c, &f->log);
    command_opaque("InvalidUserError", &f->notice);
}

static void bad_name(const struct command *c, struct command_fault *f)
{
    f->level = LOG_L_ERROR;
    buf_str(&f->log, "(InvalidCommandError) Invalid endpoint name: ");
    command_word(&f->log, c->name);
    command_opaque("InvalidCommandError", &f->notice);
}

/* Steps of the session and of prepare, refusals of the account, limits: the monitor has logged why,
 * with what the administrator should see; our line ties it to the request. */
static void failed_child(const struct table_message *m, const struct command *c,
                         const char *account, struct command_fault *f)
{
    autobuf struct buf clean = BUF_INIT;
    refusal_clean(m->text.user, &clean);
    const char *text = clean.data ? clean.data : "";
    f->level = LOG_L_WARNING;
    if (m->code >= 70)
        buf_fmt(&f->notice, "Unable to start user endpoint process for %s [exit code: %d; %s]",
                account, m->code, text);
    else if (m->code == TABLE_LIMIT && *text)
        buf_str(&f->notice, text);
    else if (*text)
        buf_fmt(&f->notice, "Unable to start user endpoint process for %s: %s", account, text);
    else
        buf_str(&f->notice, "General or unknown failure starting user endpoint");
    buf_fmt(&f->log, "The requester of user endpoint %s is told: %s", c->name, f->notice.data);
}

void refusal_explain(const struct table_message *m, const struct command *c, const char *account,
                     struct command_fault *f)
{
    switch (m->code) {
    case TABLE_NO_ACCOUNT:
        refusal_no_account(c, account, f);
        break;
    case TABLE_SAME_USER:
        same_user(m, c, account, f);
        break;
    case TABLE_BAD_NAME:
        bad_name(c, f);
        break;
    default:
        failed_child(m, c, account, f);
    }
}
