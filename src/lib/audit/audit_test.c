/* Format, chain, what a full disk leaves, and what the verifier finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/audit/audit.h"
#include "lib/base/buf.h"
#include "lib/base/fs.h"

#define ID "11111111-2222-3333-4444-555555555555"
#define TIME "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{6}[+-][0-9]{2}:[0-9]{2} "

static char folder[] = "/tmp/audit-test-XXXXXX";
static char path[64];

static int set_up(void **state)
{
    strcpy(folder, "/tmp/audit-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/audit.log", folder);
    return 0;
}

static int tear_down(void **state)
{
    return fs_remove_tree(folder, NULL);
}

static char *content(void)
{
    struct buf b = BUF_INIT;
    assert_int_equal(fs_read(path, 1 << 20, &b, NULL), 0);
    buf_str(&b, "");
    return buf_take(&b);
}

static void write_content(const char *text)
{
    assert_int_equal(fs_write(path, text, strlen(text), 0600, false, NULL), 0);
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t re;
    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NEWLINE | REG_NOSUB), 0);
    if (regexec(&re, text, 0, NULL, 0) != 0)
        fail_msg("%s does not match %s", text, pattern);
    regfree(&re);
}

static struct audit *opened(bool chain)
{
    struct err err = ERR_INIT;
    struct audit *a = audit_open(path, chain, &err);
    assert_string_equal(err.text, "");
    assert_non_null(a);
    return a;
}

static void put(struct audit *a, const char *text)
{
    assert_int_equal(audit_message(a, 1001, 77, ID, text, strlen(text), NULL), 0);
}

static void test_format(void **state)
{
    struct audit *a = opened(false);
    struct stat st;
    assert_int_equal(audit_session(a, AUDIT_CEP, true, ID, NULL), 0);
    assert_int_equal(audit_message(a, 1001, 77, ID, "fid=1\ntid\0=2\r RUN\x1b[m", 20, NULL), 0);
    assert_int_equal(audit_session(a, AUDIT_MEP, false, ID, NULL), 0);
    assert_string_equal(audit_last_hash(a), "");
    assert_true(audit_has_room(a));
    audit_close(a);
    char *text = content();
    assert_matches(text, TIME "uid=[0-9]+ pid=[0-9]+ eid=" ID " Begin CEP session =====$");
    assert_matches(text, TIME "uid=1001 pid=77 uep=" ID " fid=1 tid=2 RUN\\?\\[m$");
    assert_matches(text, TIME "uid=[0-9]+ pid=[0-9]+ eid=" ID " End MEP session -----$");
    free(text);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07177, 0);
}

static void test_chain_goes_on(void **state)
{
    struct audit_report r;
    struct err err = ERR_INIT;
    char last[AUDIT_HASH_TEXT], old[80];
    struct audit *a = opened(false);
    put(a, "before the chain");
    audit_close(a);
    a = opened(true);
    put(a, "one");
    put(a, "two");
    audit_close(a);
    a = opened(true);
    put(a, "three");
    strcpy(last, audit_last_hash(a));
    assert_int_equal(audit_verify(path, NULL, &r, &err), 0);
    assert_int_equal(r.lines, 4);
    assert_int_equal(r.chained, 3);
    assert_string_equal(r.last, last);
    /* Into the next file. */
    snprintf(old, sizeof(old), "%s.1", path);
    assert_int_equal(rename(path, old), 0);
    assert_int_equal(audit_reopen(a, &err), 0);
    put(a, "four");
    audit_close(a);
    assert_int_equal(audit_verify(path, last, &r, &err), 0);
    assert_int_equal(r.chained, 1);
    assert_int_equal(audit_verify(path, r.last, &r, &err), -1);
}

/* The text with one change; the verifier must find it. */
static void found(const char *good, size_t at, size_t cut, const char *put_in)
{
    struct audit_report r;
    struct err err = ERR_INIT;
    struct buf b = BUF_INIT;
    buf_add(&b, good, at);
    buf_str(&b, put_in);
    buf_str(&b, good + at + cut);
    write_content(b.data);
    buf_free(&b);
    assert_int_equal(audit_verify(path, NULL, &r, &err), -1);
    assert_string_not_equal(err.text, "");
}

static void test_tampering(void **state)
{
    struct audit *a = opened(true);
    put(a, "one");
    put(a, "two");
    put(a, "three");
    audit_close(a);
    char *good = content();
    size_t first = strcspn(good, "\n") + 1;
    size_t second = strcspn(good + first, "\n") + 1;
    found(good, (size_t)(strstr(good, "two") - good), 1, "T"); /* changed */
    found(good, first, second, "");                            /* removed */
    found(good, 0, first, "");                                 /* the first one removed */
    found(good, first, 0, "2026 uid=0 pid=1 uep=x nothing\n"); /* put in */
    found(good, strlen(good) - 1, 1, "");                      /* half a line */
    found(good, first - 3, 1, good[first - 3] == 'a' ? "b" : "a");
    free(good);
}

/* A file size limit behaves as a full disk does: part of a line is written, then an error. */
static void test_full_disk(void **state)
{
    struct rlimit before, small;
    struct err err = ERR_INIT;
    struct audit_report r;
    struct audit *a = opened(true);
    put(a, "one");
    char *good = content();
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){.rlim_cur = strlen(good) + 10, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(audit_message(a, 1, 2, ID, "two", 3, &err), -1);
    assert_non_null(strstr(err.text, "Failed to write audit log message"));
    setrlimit(RLIMIT_FSIZE, &before);
    char *after = content();
    assert_string_equal(after, good);
    put(a, "two");
    audit_close(a);
    assert_int_equal(audit_verify(path, NULL, &r, &err), 0);
    assert_int_equal(r.chained, 2);
    free(good);
    free(after);
}

static void test_refuses(void **state)
{
    struct err err = ERR_INIT;
    assert_null(audit_open(folder, false, &err));
    assert_null(audit_open("/dev/null", false, &err));
    assert_non_null(strstr(err.text, "not a regular file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_format, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_chain_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tampering, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
