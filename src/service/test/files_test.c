/* The file store of large payloads: kept once, refused names, what the sweep takes and leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "service/api/private.h"

static char top[] = "/tmp/files_test-XXXXXX";
static char *folder;
static struct loop *loop;
static struct store *store;
static struct files *files;

static char *path_of(const char *name)
{
    return xasprintf("%s/%.2s/%s", folder, name, name + 2);
}

static bool is_there(const char *name)
{
    autofree char *path = path_of(name);
    return access(path, F_OK) == 0;
}

static void make_old(const char *name, int hours)
{
    autofree char *path = path_of(name);
    struct timespec t = {.tv_sec = time(NULL) - hours * 3600};
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){t, t}, 0), 0);
}

static int name_in(struct db *db, void *arg, struct err *err)
{
    const char **row = arg;
    autofree char *sql = xasprintf("INSERT INTO %s(task, file) VALUES (?, ?)", row[0]);
    return db_run(db, err, sql, "ss", row[1], row[1]) < 0 ? -1 : 0;
}

static int sweep(struct db *db, void *arg, struct err *err)
{
    (void)arg;
    for (unsigned i = 0; i < FILES_FOLDERS; i++)
        if (files_sweep(files, i, db, err) < 0)
            return -1;
    return 0;
}

static void put(const char *text, char name[65])
{
    struct err err = ERR_INIT;
    assert_int_equal(files_put(files, text, strlen(text), name, &err), 0);
    assert_true(is_there(name));
}

static void the_same_bytes_are_kept_once(void **state)
{
    char a[65], b[65];
    autobuf struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    (void)state;
    put("hello", a);
    assert_string_equal(a, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    make_old(a, 2);
    put("hello", b);
    assert_string_equal(a, b);
    assert_int_equal(files_get(files, a, &out, &err), 0);
    assert_string_equal(out.data, "hello");
    /* Put again, it is young again. */
    assert_int_equal(store_now(store, sweep, NULL, &err), 0);
    assert_true(is_there(a));
}

static void other_names_are_refused(void **state)
{
    static const char *const names[] = {
        "",
        "2c",
        "../../../../etc/passwd",
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b982",
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b98245",
        "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824",
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e7304336293/b9824",
        "../4dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824x",
    };
    autobuf struct buf out = BUF_INIT;
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(files_get(files, names[i], &out, &err), -1);
        assert_non_null(strstr(err.text, "is not the name of a payload"));
    }
}

static void the_sweep_takes_what_no_row_names(void **state)
{
    char task[65], result[65], orphan[65], young[65];
    struct err err = ERR_INIT;
    (void)state;
    put("of a task", task);
    put("of a result", result);
    put("of nobody", orphan);
    put("of a submit that is under way", young);
    assert_int_equal(store_now(store, name_in, (const char *[]){"payloads", task}, &err), 0);
    assert_int_equal(store_now(store, name_in, (const char *[]){"results", result}, &err), 0);
    make_old(task, 24 * 1000);
    make_old(result, 24 * 1000);
    make_old(orphan, 2);
    /* What a crash left of a file that was being written. */
    autofree char *half = xasprintf("%s.tmp-0a0b0c", orphan);
    autofree char *half_path = path_of(half);
    assert_int_equal(fs_write(half_path, "x", 1, 0600, false, &err), 0);
    make_old(half, 2);
    assert_int_equal(store_now(store, sweep, NULL, &err), 0);
    assert_true(is_there(task));
    assert_true(is_there(result));
    assert_true(is_there(young));
    assert_false(is_there(orphan));
    assert_false(is_there(half));
}

static void a_folder_that_cannot_be_written_is_a_sentence(void **state)
{
    char name[65];
    struct err err = ERR_INIT;
    (void)state;
    /* The first two digits of the name are taken by a file. */
    autofree char *path = xasprintf("%s/f1", folder);
    assert_int_equal(fs_write(path, "", 0, 0600, false, &err), 0);
    assert_int_equal(files_put(files, "block 152", 9, name, &err), -1);
    assert_memory_equal(name, "f1", 2);
    assert_non_null(strstr(err.text, "f1"));
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bytes_are_kept_once),
        cmocka_unit_test(other_names_are_refused),
        cmocka_unit_test(the_sweep_takes_what_no_row_names),
        cmocka_unit_test(a_folder_that_cannot_be_written_is_a_sentence),
    };
    struct err err = ERR_INIT;
    if (!mkdtemp(top))
        return 1;
    folder = xasprintf("%s/payloads", top);
    autofree char *url = xasprintf("sqlite:%s/ledger.db", top);
    loop = loop_create();
    store = store_open(loop, url, &err);
    files = store ? files_create(folder, &err) : NULL;
    int rc = files ? cmocka_run_group_tests_name("files", tests, NULL, NULL) : 1;
    files_destroy(files);
    store_close(store);
    loop_destroy(loop);
    fs_remove_tree(top, NULL);
    free(folder);
    return rc;
}
