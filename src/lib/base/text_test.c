#include "lib/base/test_tables.h"

#include "lib/base/alloc.h"
#include "lib/base/err.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/pidfile.h"
#include "lib/base/uuid.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void uuids(void **state)
{
    char out[UUID_TEXT];
    static const char *const good[] = {
        "12345678-1234-5678-1234-567812345678", "{12345678-1234-5678-1234-567812345678}",
        "urn:uuid:12345678-1234-5678-1234-567812345678", "12345678123456781234567812345678",
        "1234-5678-1234-5678-1234-5678-1234-5678"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(uuid_parse(good[i], out));
        assert_string_equal(out, good[0]);
    }
    assert_false(uuid_parse("12345678", out));
    assert_false(uuid_parse("g2345678123456781234567812345678", out));
    assert_false(uuid_parse("", out));
    assert_false(uuid_is_canonical("12345678-1234-5678-1234-56781234567A"));
    uuid_random(out);
    assert_true(uuid_is_canonical(out));
    assert_int_equal(out[14], '4');
    /* RFC 4122 name space DNS; Python: uuid.uuid5(uuid.NAMESPACE_DNS, "python.org") */
    uuid_v5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "python.org", out);
    assert_string_equal(out, "886313e1-3b8a-5372-9b90-0c9aee199e5d");
}

static void masks(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"amqp://u:p@h:1/x", "amqp://***:***@h:1/x"},
        {"a amqps://u:p%40@h b amqp://x:y@z", "a amqps://***:***@h b amqp://***:***@z"},
        {"http://h/path@x:y", "http://h/path@x:y"},
        {"nothing", "nothing"},
        {"amqp://u:p@ss@h/", "amqp://***:***@h/"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        autofree char *got = log_mask(cases[i].in);
        assert_string_equal(got, cases[i].out);
    }
}

static void errs(void **state)
{
    struct err err = ERR_INIT;
    assert_int_equal(err_set(&err, "no %s", "luck"), -1);
    assert_int_equal(err_prefix(&err, "today"), -1);
    assert_string_equal(err.text, "today: no luck");
    assert_int_equal(err_set(&err, "(%s)", err.text), -1);
    assert_string_equal(err.text, "(today: no luck)");
    assert_int_equal(err_set(NULL, "x"), -1);
}

static void files(void **state)
{
    char dir[] = "/tmp/sallyport-base-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct err err = ERR_INIT;
    autofree char *deep = xasprintf("%s/a/b/c", dir);
    assert_int_equal(fs_mkdirs(deep, 0700, &err), 0);
    autofree char *f = xasprintf("%s/f", deep);
    assert_int_equal(fs_write(f, "text", 4, 0640, true, &err), 0);
    struct stat st;
    assert_int_equal(stat(f, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    struct buf b = BUF_INIT;
    assert_int_equal(fs_read(f, 4, &b, &err), 0);
    assert_string_equal(b.data, "text");
    assert_int_equal(fs_read(f, 3, &b, &err), -1);
    assert_non_null(strstr(err.text, "larger than 3 bytes"));
    assert_int_equal(fs_read(deep, 3, &b, &err), -1);
    assert_non_null(strstr(err.text, "is a directory"));
    buf_free(&b);
    assert_int_equal(fs_mkdirs(f, 0700, &err), -1);
    autofree char *link_path = xasprintf("%s/link", dir);
    assert_int_equal(symlink("/etc", link_path), 0);
    assert_int_equal(fs_remove_tree(dir, &err), 0);
    assert_int_equal(access(dir, F_OK), -1);
    assert_int_equal(access("/etc/passwd", F_OK), 0);
}

/* As another process finds it. */
static int check_elsewhere(const char *path, unsigned fresh_s)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err err = ERR_INIT;
        int rc = pidfile_check(path, fresh_s, &err);
        bool told = strstr(err.text, "Another instance of this endpoint is running.");
        _exit(rc == 0 ? 0 : rc == 1 && told ? 1 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void pidfiles(void **state)
{
    char dir[] = "/tmp/sallyport-base-XXXXXX";
    assert_non_null(mkdtemp(dir));
    autofree char *path = xasprintf("%s/daemon.pid", dir);
    struct err err = ERR_INIT;
    struct pidfile *p = pidfile_take(path, 90, 0600, &err);
    assert_non_null(p);
    assert_int_equal(check_elsewhere(path, 0), 1);
    pidfile_release(p);
    assert_int_equal(access(path, F_OK), -1);
    /* Somebody else's, fresh, without a lock: another host perhaps. */
    assert_int_equal(fs_write(path, "123\n", 4, 0600, false, &err), 0);
    assert_int_equal(pidfile_check(path, 90, &err), 1);
    assert_int_equal(pidfile_check(path, 0, &err), 0);
    p = pidfile_take(path, 0, 0600, &err);
    assert_non_null(p);
    pidfile_release(p);
    assert_int_equal(fs_remove_tree(dir, &err), 0);
}

/* Killed at any moment, an instance never keeps the next one out. */
static void pidfile_of_the_killed(void **state)
{
    char dir[] = "/tmp/sallyport-base-XXXXXX";
    assert_non_null(mkdtemp(dir));
    autofree char *path = xasprintf("%s/daemon.pid", dir);
    struct err err = ERR_INIT;
    for (int turn = 0; turn < 200; turn++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            log_init("test", LOG_L_ERROR);
            if (pidfile_take(path, 90, 0600, &err))
                pause();
            _exit(1);
        }
        usleep((useconds_t)(turn * 7 % 1000));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        if (pidfile_check(path, 90, &err) != 0)
            fail_msg("turn %d: %s", turn, err.text);
    }
    assert_int_equal(fs_remove_tree(dir, &err), 0);
}

/* A child that the killed owner had forked does not keep the next one out. */
static void pidfile_of_one_who_leaves_a_child(void **state)
{
    char dir[] = "/tmp/sallyport-base-XXXXXX";
    assert_non_null(mkdtemp(dir));
    autofree char *path = xasprintf("%s/daemon.pid", dir);
    struct err err = ERR_INIT;
    pid_t child = 0;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ready[0]);
        if (!pidfile_take(path, 90, 0600, &err))
            _exit(1);
        child = fork();
        if (child > 0 && write(ready[1], &child, sizeof(child)) != sizeof(child))
            _exit(1);
        pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &child, sizeof(child)), sizeof(child));
    assert_int_equal(pidfile_check(path, 90, &err), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    int rc = pidfile_check(path, 90, &err);
    struct pidfile *next = pidfile_take(path, 90, 0600, &err);
    assert_int_equal(kill(child, SIGKILL), 0); /* alive all the time */
    close(ready[0]);
    assert_int_equal(rc, 0);
    assert_non_null(next);
    pidfile_release(next);
    assert_int_equal(fs_remove_tree(dir, &err), 0);
}

int text_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uuids),
        cmocka_unit_test(masks),
        cmocka_unit_test(errs),
        cmocka_unit_test(files),
        cmocka_unit_test(pidfiles),
        cmocka_unit_test(pidfile_of_the_killed),
        cmocka_unit_test(pidfile_of_one_who_leaves_a_child),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
