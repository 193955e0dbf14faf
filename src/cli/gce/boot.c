/* enable-on-boot and disable-on-boot: the systemd unit of an endpoint (spec: cli.md 9). */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/gce/commands.h"
#include "cli/gce/epdir.h"
#include "cli/gce/remote.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/paths.h"

#define UNIT_DIR "/etc/systemd/system"
#define UNIT_MAX (64u << 10)

/* Python's getpass.getuser(), whose answer the original writes. */
static const char *login_name(void)
{
    static const char *const names[] = {"LOGNAME", "USER", "LNAME", "USERNAME"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return value;
    }
    const struct passwd *pw = getpwuid(getuid());
    return pw ? pw->pw_name : "root";
}

/* A word of a unit's ExecStart: systemd expands % and $, and splits at blanks. */
static char *unit_word(const char *s)
{
    autobuf struct buf b = BUF_INIT;
    bool is_plain = s[strcspn(s, " \t\"'\\;$%")] == '\0';
    if (is_plain)
        return xstrdup(s);
    buf_char(&b, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            buf_char(&b, '\\');
        if (*s == '%' || *s == '$')
            buf_char(&b, *s);
        buf_char(&b, *s);
    }
    buf_char(&b, '"');
    return xstrdup(b.data);
}

/* Elsewhere only % is special. */
static char *unit_value(const char *s)
{
    autobuf struct buf b = BUF_INIT;
    for (; *s; s++) {
        if (*s == '%')
            buf_char(&b, '%');
        buf_char(&b, *s);
    }
    return xstrdup(b.data ? b.data : "");
}

/* The unit that the manuals show. */
static const char known_unit[] = "[Unit]\n"
                                 "Description=%s\n"
                                 "After=network.target\n"
                                 "StartLimitIntervalSec=0\n"
                                 "\n"
                                 "[Service]\n"
                                 "ExecStart=%s start %s\n"
                                 "User=%s\n"
                                 "Type=simple\n"
                                 "Restart=always\n"
                                 "RestartSec=%d\n"
                                 "\n"
                                 "[Install]\n"
                                 "WantedBy=multi-user.target\n";

struct filling {
    const char *mark, *text;
};

/* The text with every mark replaced. */
static char *fill(const char *text, const struct filling *fillings)
{
    struct buf b = BUF_INIT;
    while (*text) {
        const struct filling *f = fillings;
        while (f->mark && strncmp(text, f->mark, strlen(f->mark)) != 0)
            f++;
        if (f->mark) {
            buf_str(&b, f->text);
            text += strlen(f->mark);
        } else {
            buf_char(&b, *text++);
        }
    }
    return buf_take(&b);
}

/* Ours (--hardened), from the text that packaging/systemd installs; NULL with err. */
static char *hardened_unit(const char *shown, const char *program, const char *operand,
                           struct err *err)
{
    autofree char *path = paths_share("globus-compute-endpoint.service.in");
    autobuf struct buf text = BUF_INIT;
    if (fs_read(path, UNIT_MAX, &text, err) < 0)
        return NULL;
    return fill(text.data ? text.data : "", (const struct filling[]){{"@NAME_TEXT@", shown},
                                                                     {"@NAME_WORD@", operand},
                                                                     {"@PROGRAM@", program},
                                                                     {"@USER@", login_name()},
                                                                     {NULL, NULL}});
}

static char *unit_text(const char *name, bool seed_style, bool is_hardened, struct err *err)
{
    autofree char *program = paths_bin("globus-compute-endpoint");
    autofree char *executable = unit_word(program);
    autofree char *operand = unit_word(name);
    autofree char *shown = unit_value(name);
    if (is_hardened)
        return hardened_unit(shown, executable, operand, err);
    autofree char *description =
        seed_style ? xasprintf("Globus Compute Endpoint systemd service (%s)", shown)
                   : xasprintf("Globus Compute Endpoint \"%s\"", shown);
    return xasprintf(known_unit, description, executable, operand, login_name(),
                     seed_style ? 30 : 1);
}

static int no_systemd(void)
{
    struct stat st;
    if (stat(UNIT_DIR, &st) == 0)
        return 0;
    return fail("Systemd not found. On-boot persistence is currently only implemented for systemd; "
                "check this machine's init system documentation for alternatives.");
}

static int write_unit(const char *path, const char *text)
{
    autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return fail("Cannot create systemd unit file - a file with the name %s already exists",
                    path);
    if (fd < 0)
        return fail("[Errno %d] %s: '%s'\n\n"
                    "Unable to create systemd unit file.  (Do you need to be root?)\n\n"
                    "----- Systemd unit file content -----\n%s",
                    errno, strerror(errno), path, text);
    if (fs_write_all(fd, text, strlen(text)) < 0 || fchmod(fd, 0644) < 0) {
        int why = errno;
        unlink(path);
        return fail("%s can't be written: %s", path, strerror(why));
    }
    return 0;
}

/* systemd must not be the one who is asked for a code. */
static int sign_in_now(const struct config *c)
{
    struct remote_result r;
    remote_call(c, "signed-in", NULL, NULL, &r);
    int rc = r.ok ? 0 : remote_fail(&r);
    bool signed_in = r.ok && json_object_get_boolean(r.answer);
    remote_free(&r);
    return rc || signed_in ? rc : remote_signin(c);
}

static int enable(const char *epdir, const struct config *c, bool is_hardened)
{
    const char *name = epdir_name(epdir);
    autofree char *unit = xasprintf(UNIT_DIR "/globus-compute-endpoint-%s.service", name);
    struct err err = ERR_INIT;
    autofree char *text = unit_text(name, c && c->seed_style, is_hardened, &err);
    if (!text)
        return fail("%s", err.text);
    if (epdir_is_active(epdir))
        return fail("Cannot enable on-boot persistence for an endpoint that is currently running. "
                    "Stop endpoint %s and try again.",
                    name);
    int rc = sign_in_now(c);
    if (rc == 0)
        rc = write_unit(unit, text);
    if (rc == 0)
        printf("Systemd service installed at %s. Run\n"
               "\tsudo systemctl enable globus-compute-endpoint-%s --now\n"
               "to enable the service and start the endpoint.\n",
               unit, name);
    return rc;
}

int cmd_enable_on_boot(const struct args *a)
{
    struct err err = ERR_INIT;
    autofree char *epdir = epdir_find(args_name(a), &err);
    if (!epdir)
        return fail("%s", err.text);
    int rc = no_systemd();
    if (rc)
        return rc;
    struct config *c = config_load(epdir, NULL, NULL); /* for its style; `start` checks it */
    rc = enable(epdir, c, args_has(a, "--hardened"));
    config_free(c);
    return rc;
}

int cmd_disable_on_boot(const struct args *a)
{
    struct err err = ERR_INIT;
    autofree char *epdir = epdir_find(args_name(a), &err);
    if (!epdir)
        return fail("%s", err.text);
    int rc = no_systemd();
    if (rc)
        return rc;
    const char *name = epdir_name(epdir);
    autofree char *unit = xasprintf(UNIT_DIR "/globus-compute-endpoint-%s.service", name);
    if (access(unit, F_OK) != 0)
        return fail("There does not appear to be an existing systemd unit for endpoint %s (unit "
                    "file %s not found)",
                    name, unit);
    printf("Run the following to disable on-boot-persistence:\n"
           "\tsystemctl stop globus-compute-endpoint-%s\n"
           "\tsystemctl disable globus-compute-endpoint-%s\n"
           "\trm %s\n",
           name, name, unit);
    return 0;
}
