/* Accounts against pretended databases, admission against a pretended clock, foreign text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "manager/monitor/account.h"
#include "manager/monitor/admission.h"
#include "manager/monitor/clean.h"
#include "manager/monitor/state_line.h"

/* --- accounts ------------------------------------------------------------------------------- */

static struct passwd pw;
static struct spwd sp;
static struct group gr;
static bool has_shadow, has_group;
static int lookup_errno;
static gid_t member_of[100];
static int n_member_of;

static struct passwd *fake_by_name(const char *name)
{
    errno = lookup_errno;
    return lookup_errno == 0 && strcmp(name, pw.pw_name) == 0 ? &pw : NULL;
}

static struct spwd *fake_shadow(const char *name)
{
    return has_shadow ? &sp : NULL;
}

static struct group *fake_group(const char *name)
{
    return has_group ? &gr : NULL;
}

static int fake_groups(const char *name, gid_t gid, gid_t *list, int *n)
{
    int room = *n;
    *n = n_member_of;
    if (room < n_member_of)
        return -1;
    memcpy(list, member_of, sizeof(gid_t) * (size_t)n_member_of);
    return n_member_of;
}

static bool fake_shell_is_listed(const char *shell)
{
    return strcmp(shell, "/bin/sh") == 0 || strcmp(shell, "/sbin/nologin") == 0;
}

static int64_t fake_uid_min(void)
{
    return 500;
}

static int64_t fake_today(void)
{
    return 20000;
}

static const struct account_source fake = {
    .by_name = fake_by_name,
    .shadow = fake_shadow,
    .group = fake_group,
    .groups = fake_groups,
    .shell_is_listed = fake_shell_is_listed,
    .uid_min = fake_uid_min,
    .today = fake_today,
};

static struct account_rules rules;

static char name_buf[128] = "ada", shell_buf[64], hash_buf[64];

static int reset(void **state)
{
    strcpy(name_buf, "ada");
    strcpy(shell_buf, "/bin/sh");
    strcpy(hash_buf, "$y$j9T$");
    pw =
        (struct passwd){.pw_name = name_buf, .pw_uid = 1001, .pw_gid = 1002, .pw_shell = shell_buf};
    sp = (struct spwd){
        .sp_pwdp = hash_buf, .sp_expire = -1, .sp_inact = -1, .sp_max = 99999, .sp_lstchg = 19000};
    gr = (struct group){.gr_gid = 77};
    has_shadow = has_group = true;
    lookup_errno = 0;
    n_member_of = 1;
    member_of[0] = 1002;
    rules = (struct account_rules){.mapping = true,
                                   .own_name = "root",
                                   .listener_uid = 65534,
                                   .minimum_uid = -1,
                                   .required_group = "",
                                   .deny_users = "\0"};
    return 0;
}

static void accepted(void)
{
    struct account a;
    assert_int_equal(account_check(&rules, &fake, pw.pw_name, &a), 0);
    assert_string_equal(a.admin_text, "");
    assert_int_equal(a.uid, pw.pw_uid);
    assert_int_equal(a.gid, pw.pw_gid);
    assert_string_equal(a.user, pw.pw_name);
    assert_int_equal(a.magic, ACCOUNT_MAGIC);
}

static void refused(int code, const char *why)
{
    struct account a;
    assert_int_equal(account_check(&rules, &fake, pw.pw_name, &a), code);
    assert_int_equal(a.code, code);
    if (!strstr(a.admin_text, why))
        fail_msg("'%s' does not say '%s'", a.admin_text, why);
    assert_string_not_equal(a.user_text, "");
    assert_null(strstr(a.user_text, pw.pw_name));
}

static void test_who(void **state)
{
    struct account a;
    accepted();
    assert_int_equal(account_check(&rules, &fake, "bob", &a), TABLE_NO_ACCOUNT);
    lookup_errno = EIO;
    refused(TABLE_BAD_ACCOUNT, "can't be read");
    lookup_errno = ENOENT;
    refused(TABLE_NO_ACCOUNT, "name not found");
    lookup_errno = 0;
    pw.pw_uid = 0;
    refused(TABLE_SAME_USER, "Requested UID is same as");
    pw.pw_uid = 499;
    refused(TABLE_BAD_ACCOUNT, "below 500");
    rules.minimum_uid = 400;
    accepted();
    rules.minimum_uid = 0;
    pw.pw_uid = 65534;
    refused(TABLE_BAD_ACCOUNT, "account of the listener");
    pw.pw_uid = (uid_t)-1;
    refused(TABLE_BAD_ACCOUNT, "not a valid one");
    pw.pw_uid = 1001;
    pw.pw_gid = (gid_t)-1;
    refused(TABLE_BAD_ACCOUNT, "not a valid one");
    memset(name_buf, 'n', 100);
    pw.pw_gid = 1002;
    assert_int_equal(account_check(&rules, &fake, pw.pw_name, &a), TABLE_BAD_ACCOUNT);
}

static void test_own_account(void **state)
{
    rules.own_uid = 1001;
    strcpy(rules.own_name, "ada");
    refused(TABLE_SAME_USER, "Requested UID is same as");
    rules.force_same_user = true;
    accepted();
    rules.force_same_user = false;
    rules.mapping = false;
    accepted();
    pw.pw_uid = 1003;
    refused(TABLE_BAD_ACCOUNT, "without identity mapping");
    /* The database spells the name in its own way: what counts is what it says. */
    rules.mapping = true;
    strcpy(rules.own_name, "root");
    rules.own_uid = 0;
    strcpy(name_buf, "root");
    refused(TABLE_SAME_USER, "Requested UID is same as");
}

static void test_shadow(void **state)
{
    static const struct {
        const char *hash;
        bool is_locked;
    } hashes[] = {{"!", false}, {"!!", false}, {"*", false},   {"!*", false},
                  {"", false},  {"x", false},  {"!$6$", true}, {"!!$6$x", true}};
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
        strcpy(hash_buf, hashes[i].hash);
        if (hashes[i].is_locked)
            refused(TABLE_BAD_ACCOUNT, "locked");
        else
            accepted();
    }
    sp.sp_pwdp = NULL;
    accepted();
    sp.sp_expire = 20001;
    accepted();
    sp.sp_expire = 20000;
    refused(TABLE_BAD_ACCOUNT, "expired");
    has_shadow = false;
    accepted();
    has_shadow = true;
    sp.sp_expire = -1;
    sp.sp_max = 900;
    sp.sp_inact = 100;
    accepted();
    sp.sp_inact = 99;
    refused(TABLE_BAD_ACCOUNT, "grace time");
    sp.sp_inact = -1;
    accepted();
}

static void test_shells(void **state)
{
    for (const char *const *p =
             (const char *const[]){"/opt/odd", "/sbin/nologin", "/bin/false", "false", NULL};
         *p; p++) {
        strcpy(shell_buf, *p);
        refused(TABLE_BAD_ACCOUNT, *p);
    }
    rules.allow_nologin_shells = true;
    accepted();
    rules.allow_nologin_shells = false;
    shell_buf[0] = '\0'; /* means /bin/sh */
    accepted();
    pw.pw_shell = NULL;
    accepted();
}

static void test_group_and_deny(void **state)
{
    rules.required_group = "hpc";
    refused(TABLE_BAD_ACCOUNT, "no member of the group hpc");
    n_member_of = 100; /* more than the first list has room for */
    member_of[99] = 77;
    accepted();
    has_group = false;
    refused(TABLE_BAD_ACCOUNT, "does not exist");
    rules.required_group = "";
    rules.deny_users = "bob\0ada\0";
    refused(TABLE_BAD_ACCOUNT, "deny_users");
    rules.deny_users = "bob\0adal\0";
    accepted();
}

/* --- admission ------------------------------------------------------------------------------ */

static struct admission_now now;

static void allowed(struct admission *a)
{
    struct err err = ERR_INIT;
    assert_int_equal(admission_ask(a, &now, &err), 0);
}

static void denied(struct admission *a, const char *why)
{
    struct err err = ERR_INIT;
    assert_int_equal(admission_ask(a, &now, &err), -1);
    assert_non_null(strstr(err.text, why));
}

static void test_admission(void **state)
{
    struct admission *a = admission_create(&(struct admission_rules){0});
    now = (struct admission_now){.time_us = 1, .total = 1u << 30, .of_user = 1u << 30};
    allowed(a);
    admission_destroy(a);
    a = admission_create(
        &(struct admission_rules){.max_total = 3, .max_per_user = 2, .minimum_free_mib = 10});
    now = (struct admission_now){.time_us = 1, .free_mib = 10};
    allowed(a);
    now.of_user = 2;
    denied(a, "limit per user");
    now.of_user = 1;
    now.total = 3;
    denied(a, "its limit");
    now.total = 2;
    now.free_mib = 9;
    denied(a, "short of memory");
    now.free_mib = -1;
    allowed(a);
    admission_destroy(a);
}

static void test_start_rate(void **state)
{
    struct admission *a = admission_create(&(struct admission_rules){.starts_per_minute = 2});
    now = (struct admission_now){.time_us = 5, .uid = 1};
    allowed(a);
    allowed(a);
    denied(a, "within a minute");
    now.uid = 2;
    allowed(a);
    now.uid = 1;
    now.time_us += 59999999;
    denied(a, "within a minute");
    now.time_us += 1;
    allowed(a);
    /* More users than windows: the oldest makes room, nothing grows. */
    for (now.uid = 10; now.uid < 2000; now.uid++)
        allowed(a);
    admission_destroy(a);
    admission_destroy(NULL);
}

/* --- text ----------------------------------------------------------------------------------- */

static void cleaned(const char *in, bool keep_lines, const char *out)
{
    char text[64];
    snprintf(text, sizeof(text), "%s", in);
    assert_string_equal(clean_text(text, sizeof(text), keep_lines), out);
}

static void test_clean(void **state)
{
    cleaned("plain\ttext", false, "plain\ttext");
    cleaned("\x1b[31m\x07\x7f", false, "?[31m??");
    cleaned("a\nb\n c\n", true, "a|b\n c\n");
    cleaned("a\n b", false, "a? b");
    cleaned("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", false,
            "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    cleaned("\xc2\x9b"
            "1m",
            false, "??1m");                     /* C1 */
    cleaned("\xe2\x80\xae", false, "???");      /* right to left */
    cleaned("\xff\xc0\xaf\x80", false, "????"); /* no UTF-8 */
    cleaned("\xe2\x82", false, "??");           /* cut off */
    char full[4] = {'a', 'b', 'c', 'd'};
    assert_string_equal(clean_text(full, sizeof(full), false), "abc");
}

/* --- the state file ------------------------------------------------------------------------- */

static void test_state_line(void **state)
{
    struct state_line l = {.pid = 77,
                           .start_time = 1ull << 60,
                           .dev = 1,
                           .ino = 4000000000u,
                           .uid = 4294967294u,
                           .gid = 5,
                           .user = "ada",
                           .name = "uep.1",
                           .key = "k=",
                           .id = "",
                           .command = "gce start 'x y'"};
    struct state_line got;
    autobuf struct buf b = BUF_INIT;
    state_line_write(&b, &l);
    assert_int_equal(b.data[b.len - 1], '\n');
    for (size_t cut = 0; cut < 40; cut++) {
        char *part = xstrndup(b.data, cut);
        assert_false(state_line_read(part, &got));
        free(part);
    }
    b.data[b.len - 1] = '\0';
    assert_true(state_line_read(b.data, &got));
    assert_int_equal(got.pid, 77);
    assert_true(got.start_time == 1ull << 60 && got.uid == l.uid && got.ino == l.ino);
    assert_string_equal(got.id, "");
    assert_string_equal(got.command, l.command);
    for (const char *const *p = (const char *const[]){"", "+", "+\t1\t1\t1\t1\t1\t1\tu\tn\tk\t-\tc",
                                                      "+\t-5\t1\t1\t1\t1\t1\tu\tn\tk\t-\tc",
                                                      "+\t5\t1\t4294967296\t1\t1\t1\tu\tn\tk\t-\tc",
                                                      "+\t5\t1\t1\t1\t1\t1\tu\t../n\tk\t-\tc",
                                                      "+\t5\t1\t1\t1\t1\t1\tu\tn\tk\t-\tc\tmore",
                                                      "-\t5\t1\t1\t1\t1\t1\tu\tn\tk\t-\tc", NULL};
         *p; p++) {
        char *text = xstrdup(*p);
        assert_false(state_line_read(text, &got));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_who, reset),
        cmocka_unit_test_setup(test_own_account, reset),
        cmocka_unit_test_setup(test_shadow, reset),
        cmocka_unit_test_setup(test_shells, reset),
        cmocka_unit_test_setup(test_group_and_deny, reset),
        cmocka_unit_test(test_admission),
        cmocka_unit_test(test_start_rate),
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_state_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
