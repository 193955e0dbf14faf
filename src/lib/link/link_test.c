/* Both sides of the link on one loop, over loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/link/link.h"

struct scene {
    struct loop *loop;
    char dir[64];
    char *key_dir;
    struct link_server *server;
    struct link_agent *agent;
    size_t registered, started, results, lost, tasks_lost, tasks, stops, holds;
    size_t bytes;
    char why[200], welcome_address[64];
    struct link_client *client;
};

static void registered(void *arg, struct link_agent *a)
{
    struct scene *s = arg;
    s->registered++;
    s->agent = a;
    link_agent_set_data(a, s);
}
static void started(void *arg, struct link_agent *a, const char *id)
{
    struct scene *s = arg;
    assert_string_equal(id, "task-1");
    s->started++;
}
static void result(void *arg, struct link_agent *a, const char *id, const void *p, size_t n)
{
    struct scene *s = arg;
    assert_ptr_equal(link_agent_data(a), s);
    s->results++;
    s->bytes += n;
}
static void task_lost(void *arg, struct link_agent *a, const char *id, enum link_loss kind,
                      const char *text)
{
    struct scene *s = arg;
    assert_int_equal(kind, LINK_TASK_FAILED);
    assert_string_equal(text, "no sandbox");
    s->tasks_lost++;
}
static void lost(void *arg, struct link_agent *a, const char *why)
{
    struct scene *s = arg;
    s->lost++;
    s->agent = NULL;
    snprintf(s->why, sizeof(s->why), "%s", why);
}
static const struct link_server_handlers server_handlers = {registered, started, result, task_lost,
                                                            lost};

static void welcome(void *arg, struct json_object *settings, const char *address)
{
    struct scene *s = arg;
    assert_string_equal(json_str_or(settings, "run_dir", ""), "/x");
    snprintf(s->welcome_address, sizeof(s->welcome_address), "%s", address);
    struct json_object *ready = json_object_new_object();
    json_add_int(ready, "workers", 2);
    json_add_int(ready, "capacity", 3);
    json_add_str(ready, "python", "3.11.2");
    link_client_ready(s->client, ready);
}
static void task(void *arg, struct json_object *header, const void *p, size_t n)
{
    struct scene *s = arg;
    const char *id = json_str_or(header, "id", "");
    s->tasks++;
    link_client_started(s->client, id);
    link_client_result(s->client, id, p, n);
}
static void hold(void *arg)
{
    ((struct scene *)arg)->holds++;
}
static void client_stop(void *arg, const char *why)
{
    struct scene *s = arg;
    s->stops++;
    snprintf(s->why, sizeof(s->why), "%s", why);
}
static const struct link_client_handlers client_handlers = {welcome, task, hold, hold, client_stop};

static void set_up(struct scene *s, bool encrypted)
{
    memset(s, 0, sizeof(*s));
    strcpy(s->dir, "/tmp/link-test.XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    s->key_dir = xasprintf("%s/certificates", s->dir);
    s->loop = loop_create();
    struct json_object *settings = json_object_new_object();
    json_add_str(settings, "run_dir", "/x");
    struct err err = ERR_INIT;
    s->server = link_server_create(s->loop,
                                   &(struct link_server_opts){.address = "127.0.0.1",
                                                              .key_dir = s->key_dir,
                                                              .encrypted = encrypted,
                                                              .heartbeat_period_s = 1,
                                                              .heartbeat_threshold_s = 3,
                                                              .settings = settings,
                                                              .handlers = &server_handlers,
                                                              .arg = s},
                                   &err);
    if (s->server == NULL)
        fail_msg("%s", err.text);
}

static void join(struct scene *s, bool encrypted, const char *key_file, unsigned timeout_s)
{
    static const char *const addresses[] = {"127.0.0.9", "127.0.0.1", NULL};
    struct err err = ERR_INIT;
    struct json_object *hello = json_object_new_object();
    json_add_str(hello, "block", "0");
    json_add_str(hello, "host", "here");
    s->client =
        link_client_create(s->loop,
                           &(struct link_client_opts){
                               .addresses = addresses,
                               .port = link_server_port(s->server),
                               .key_file = key_file ? key_file : link_server_key_file(s->server),
                               .encrypted = encrypted,
                               .probe_timeout_s = timeout_s,
                               .hello = hello,
                               .handlers = &client_handlers,
                               .arg = s},
                           &err);
    if (s->client == NULL)
        fail_msg("%s", err.text);
}

static void run_until(struct scene *s, const size_t *counter, size_t want, unsigned seconds)
{
    uint64_t end = loop_now_us(s->loop) + LOOP_S(seconds);
    while (*counter < want && loop_now_us(s->loop) < end)
        loop_once(s->loop, LOOP_MS(50));
    assert_true(*counter >= want);
}

static void tear_down(struct scene *s)
{
    link_client_destroy(s->client);
    link_server_destroy(s->server);
    loop_destroy(s->loop);
    assert_int_equal(fs_remove_tree(s->dir, NULL), 0);
    free(s->key_dir);
}

static void exchange(bool encrypted)
{
    struct scene s;
    set_up(&s, encrypted);
    join(&s, encrypted, NULL, 10);
    run_until(&s, &s.registered, 1, 10);
    assert_string_equal(s.welcome_address, "127.0.0.1");
    const struct link_agent_info *info = link_agent_info(s.agent);
    assert_int_equal(info->workers, 2);
    assert_int_equal(info->capacity, 3);
    assert_string_equal(info->block, "0");
    assert_string_equal(info->python, "3.11.2");
    assert_int_equal(link_server_agents(s.server), 1);
    autojson struct json_object *header = json_object_new_object();
    json_add_str(header, "id", "task-1");
    char *big = xcalloc(1, 5000000);
    assert_int_equal(link_send_task(s.agent, header, big, 5000000), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(link_send_task(s.agent, header, "abc", 3), 0);
    run_until(&s, &s.results, 1001, 20);
    assert_int_equal(s.started, 0); /* a result says it as well */
    link_client_started(s.client, "task-1");
    run_until(&s, &s.started, 1, 5);
    assert_int_equal(s.bytes, 5000000 + 3000);
    link_client_task_lost(s.client, "task-1", LINK_TASK_FAILED, "no sandbox");
    run_until(&s, &s.tasks_lost, 1, 5);
    link_send_hold(s.agent);
    run_until(&s, &s.holds, 1, 5);
    link_client_going(s.client, "drained");
    run_until(&s, &s.lost, 1, 5);
    assert_string_equal(s.why, "drained");
    free(big);
    tear_down(&s);
}

static void tasks_and_results_pass_encrypted(void **state)
{
    exchange(true);
}

static void tasks_and_results_pass_in_the_clear(void **state)
{
    exchange(false);
}

static void an_agent_that_vanishes_is_lost_soon(void **state)
{
    struct scene s;
    set_up(&s, true);
    join(&s, true, NULL, 10);
    run_until(&s, &s.registered, 1, 10);
    link_client_destroy(s.client);
    s.client = NULL;
    run_until(&s, &s.lost, 1, 9);
    tear_down(&s);
}

static void a_wrong_token_is_refused(void **state)
{
    struct scene s;
    set_up(&s, false);
    autofree char *forged = xasprintf("%s/forged.key", s.dir);
    autobuf struct buf text = BUF_INIT;
    assert_int_equal(fs_read(link_server_key_file(s.server), 4096, &text, NULL), 0);
    char *digit = strstr(text.data, "token ") + 6;
    *digit = *digit == '0' ? '1' : '0';
    assert_int_equal(fs_write(forged, text.data, text.len, 0600, false, NULL), 0);
    join(&s, false, forged, 10);
    run_until(&s, &s.stops, 1, 5);
    assert_non_null(strstr(s.why, "token"));
    assert_int_equal(s.registered, 0);
    tear_down(&s);
}

static void without_the_key_nobody_gets_in(void **state)
{
    struct scene s;
    set_up(&s, true);
    join(&s, false, NULL, 2); /* plain text against an encrypted port */
    run_until(&s, &s.stops, 1, 5);
    assert_non_null(strstr(s.why, "no address of the user endpoint answered within 2 s"));
    assert_int_equal(s.registered, 0);
    tear_down(&s);
}

static void keys_are_ours_alone(void **state)
{
    struct scene s;
    struct stat st;
    struct err err = ERR_INIT;
    set_up(&s, true);
    assert_int_equal(stat(link_server_key_file(s.server), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(chmod(s.key_dir, 0755), 0);
    assert_null(link_server_create(s.loop,
                                   &(struct link_server_opts){.address = "127.0.0.1",
                                                              .key_dir = s.key_dir,
                                                              .encrypted = true,
                                                              .settings = json_object_new_object(),
                                                              .handlers = &server_handlers},
                                   &err));
    assert_non_null(strstr(err.text, "0700"));
    tear_down(&s);
}

static void malformed_headers_are_refused(void **state)
{
    static const char *const bad[] = {"", "Z", "H", "H{", "S", "R", "Bx", "T[1", "L{'a':1}"};
    struct link_header h;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(link_header_read(bad[i], strlen(bad[i]), &h, NULL), -1);
        link_header_clear(&h);
    }
    assert_int_equal(link_header_read("Rabc", 4, &h, NULL), 0);
    assert_string_equal(h.text, "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_and_results_pass_encrypted),
        cmocka_unit_test(tasks_and_results_pass_in_the_clear),
        cmocka_unit_test(an_agent_that_vanishes_is_lost_soon),
        cmocka_unit_test(a_wrong_token_is_refused),
        cmocka_unit_test(without_the_key_nobody_gets_in),
        cmocka_unit_test(keys_are_ours_alone),
        cmocka_unit_test(malformed_headers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
