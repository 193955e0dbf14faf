/* PAM around a user endpoint: may the account be used, its credentials, its session.  What a module
 * says is for the administrator; the conversation answers nothing. */
#include <errno.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/handover/handover.h"
#include "session/session.h"

static pam_handle_t *handle;

/* Questions have no answer here, and messages no reader. */
static int silent_cb(int n, const struct pam_message **message, struct pam_response **response,
                     void *arg)
{
    for (int i = 0; i < n; i++)
        if (message[i]->msg_style == PAM_PROMPT_ECHO_OFF ||
            message[i]->msg_style == PAM_PROMPT_ECHO_ON)
            return PAM_CONV_ERR;
    if (n <= 0 || n > PAM_MAX_NUM_MSG)
        return PAM_CONV_ERR;
    *response = calloc((size_t)n, sizeof(**response));
    return *response ? PAM_SUCCESS : PAM_BUF_ERR;
}

static const struct pam_conv conversation = {.conv = silent_cb};

static void refuse(const struct session *s, const char *step, int rc)
{
    char what[400];
    snprintf(what, sizeof(what), "(error code: %d [%s]) PAM %s of service %s for %s: %s", rc, step,
             step, s->pam_service, s->user, pam_strerror(handle, rc));
    if (handle)
        pam_end(handle, rc);
    errno = 0;
    session_fail(s, SESSION_PAM, what);
}

void pam_begin(const struct session *s)
{
    int rc = pam_start(s->pam_service, s->user, &conversation, &handle);
    if (rc != PAM_SUCCESS)
        refuse(s, "start", rc);
    rc = pam_acct_mgmt(handle, PAM_SILENT);
    if (rc != PAM_SUCCESS)
        refuse(s, "account", rc);
    rc = pam_setcred(handle, PAM_ESTABLISH_CRED | PAM_SILENT);
    if (rc != PAM_SUCCESS)
        refuse(s, "setcred", rc);
    rc = pam_open_session(handle, PAM_SILENT);
    if (rc == PAM_SUCCESS)
        return;
    pam_setcred(handle, PAM_DELETE_CRED | PAM_SILENT);
    refuse(s, "open_session", rc);
}

char **pam_environment(const struct session *s)
{
    char **list = pam_getenvlist(handle);
    for (size_t i = 0; list && list[i]; i++) {
        char *renamed;
        if (asprintf(&renamed, "%s%s", HANDOVER_PAM_PREFIX, list[i]) < 0)
            session_fail(s, SESSION_EXEC, "the environment of the PAM session");
        free(list[i]);
        list[i] = renamed;
    }
    if (!list)
        session_fail(s, SESSION_EXEC, "the environment of the PAM session");
    return list;
}

void pam_finish(void)
{
    int rc = pam_close_session(handle, PAM_SILENT);
    int rc2 = pam_setcred(handle, PAM_DELETE_CRED | PAM_SILENT);
    pam_end(handle, rc != PAM_SUCCESS ? rc : rc2);
    handle = NULL;
}
