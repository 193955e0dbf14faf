/* The host's accounts, by PAM.
 *
 * The service runs unprivileged, so what PAM is asked to do has to work for it: pam_sss and
 * pam_ldap do, pam_unix can't read another account's password.  Settings: `service` (the file in
 * /etc/pam.d, default "sallyport") and, for a private folder of such files, `confdir`. */
#include <security/pam_appl.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "service/auth/people.h"
#include "service/auth/source.h"

struct pam_source {
    char *service, *confdir, *domain;
};

static void *open_source(struct json_object *config, const char *domain, struct err *err)
{
    struct pam_source *s = xcalloc(1, sizeof *s);
    s->service = xstrdup(json_str_or(config, "service", "sallyport"));
    s->confdir = xstrdup(json_str_or(config, "confdir", NULL));
    s->domain = xstrdup(domain);
    return s;
}

static void close_source(void *state)
{
    struct pam_source *s = state;
    free(s->service);
    free(s->confdir);
    free(s->domain);
    free(s);
}

/* Whatever is asked without echo gets the password; nothing else is answered. */
static int converse(int n, const struct pam_message **messages, struct pam_response **replies,
                    void *arg)
{
    if (n <= 0 || n > PAM_MAX_NUM_MSG)
        return PAM_CONV_ERR;
    struct pam_response *r = calloc((size_t)n, sizeof *r);
    if (r == NULL)
        return PAM_BUF_ERR;
    for (int i = 0; i < n; i++)
        if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF)
            r[i].resp = strdup(arg); /* libpam frees it */
    *replies = r;
    return PAM_SUCCESS;
}

static int ask(struct pam_source *s, const char *account, const char *password, struct err *err)
{
    pam_handle_t *h = NULL;
    struct pam_conv conv = {.conv = converse, .appdata_ptr = (void *)(uintptr_t)password};
    int rc = s->confdir != NULL ? pam_start_confdir(s->service, account, &conv, s->confdir, &h)
                                : pam_start(s->service, account, &conv, &h);
    if (rc != PAM_SUCCESS)
        return err_set(err, "PAM service %s could not be started: %s", s->service,
                       pam_strerror(NULL, rc));
    rc = pam_authenticate(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    if (rc == PAM_SUCCESS)
        rc = pam_acct_mgmt(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    int yes = rc == PAM_SUCCESS;
    switch (rc) {
    case PAM_SUCCESS:
    case PAM_AUTH_ERR:
    case PAM_USER_UNKNOWN:
    case PAM_ACCT_EXPIRED:
    case PAM_NEW_AUTHTOK_REQD:
    case PAM_PERM_DENIED:
    case PAM_MAXTRIES:
    case PAM_CRED_INSUFFICIENT:
        break;
    default:
        yes = err_set(err, "PAM service %s: %s", s->service, pam_strerror(h, rc));
    }
    pam_end(h, rc);
    return yes;
}

static int check(void *state, const char *username, const char *password, const char *stored,
                 struct claim *out, struct err *err)
{
    struct pam_source *s = state;
    autofree char *account = xstrndup(username, strcspn(username, "@"));
    if (strcmp(username + strlen(account) + (username[strlen(account)] != '\0'), s->domain) != 0)
        return 0;
    int rc = ask(s, account, password, err);
    if (rc == 1) {
        out->subject = xstrdup(account);
        out->username = xstrdup(username);
        out->name = xstrdup(account);
        out->amr = json_object_new_array();
        json_object_array_add(out->amr, json_object_new_string("pwd"));
    }
    return rc;
}

const struct source_kind source_pam = {
    .kind = "pam", .open = open_source, .close = close_source, .password = check};
