/* A real server on a free port, spoken to with bare sockets from the same thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "service/http/server.h"

static struct loop *loop;
static struct server *server;
static struct req *held;
static struct sse *stream;

static void on_echo(struct req *r)
{
    struct json_object *o = json_object_new_object();
    size_t n;
    const char *user = NULL, *password = NULL;
    const char *body = req_body(r, &n);
    json_add_str(o, "path", req_path(r));
    json_add_str(o, "id", req_param(r, "id"));
    json_add_str(o, "q", req_query(r, "q"));
    json_add_str(o, "base", req_base_url(r));
    json_add_str(o, "bearer", req_bearer(r));
    json_add_str(o, "cookie", req_cookie(r, "c"));
    json_add_str(o, "peer", req_peer(r));
    json_add_bool(o, "local", req_is_local(r));
    json_add_str(o, "body", body);
    json_add_int(o, "n", (int64_t)n);
    if (req_basic(r, &user, &password)) {
        json_add_str(o, "user", user);
        json_add_str(o, "password", password);
    }
    reply_json(r, 200, o);
}

static void on_hold(struct req *r)
{
    held = req_ref(r);
}

static void on_events(struct req *r)
{
    stream = reply_sse(r);
}

static void on_json(struct req *r)
{
    struct json_object *o = req_json(r);
    if (o)
        reply_json(r, 200, json_object_get(o));
}

static void on_form(struct req *r)
{
    const char *v = req_form(r, "a");
    reply_text(r, 200, "text/plain", v ? v : "-", v ? strlen(v) : 1);
}

static const struct route routes[] = {
    {"GET", "/echo/{id}", on_echo, 0, 0},
    {"POST", "/echo/{id}", on_echo, 1000, 0},
    {"GET", "/hold", on_hold, 0, 1},
    {"GET", "/events", on_events, 0, 0},
    {"POST", "/json", on_json, 0, 0},
    {"POST", "/form", on_form, 0, 0},
    {NULL},
};

static int set_up(void **state)
{
    static const char *const addresses[] = {"127.0.0.1:0", "[::1]:0", NULL};
    static const char *const only4[] = {"127.0.0.1:0", NULL};
    struct err err = ERR_INIT;
    struct server_opts opts = {.addresses = addresses};
    (void)state;
    loop = loop_create();
    server = server_create(loop, &opts, &err);
    if (!server) { /* a host without IPv6 */
        opts.addresses = only4;
        server = server_create(loop, &opts, &err);
    }
    if (!server)
        return -1;
    server_routes(server, routes, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    server_destroy(server);
    loop_once(loop, 0);
    loop_destroy(loop);
    return 0;
}

static int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)server_port(server)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

/* Lets the loop run until `want` has come (or the peer has closed); what came. */
static char *answer(int fd, const char *want)
{
    static char text[65536];
    size_t n = 0;
    text[0] = '\0';
    for (int i = 0; i < 3000 && !(want && strstr(text, want)); i++) {
        loop_once(loop, 1000);
        ssize_t got = recv(fd, text + n, sizeof(text) - 1 - n, MSG_DONTWAIT);
        if (got == 0)
            break;
        n += got > 0 ? (size_t)got : 0;
        text[n] = '\0';
    }
    return text;
}

static char *ask(const char *request, const char *want)
{
    int fd = dial();
    assert_int_equal(send(fd, request, strlen(request), 0), (ssize_t)strlen(request));
    char *text = answer(fd, want);
    close(fd);
    return text;
}

static void answers_and_decodes(void **state)
{
    (void)state;
    char *a = ask("GET http://example.org:1/echo/x%20y?q=a%26b HTTP/1.1\r\nHost: h:2\r\n"
                  "Authorization: Bearer tok\r\nCookie: c=v\r\n\r\n",
                  "\"n\"");
    assert_non_null(strstr(a, "HTTP/1.1 200"));
    assert_non_null(strstr(a, "\"path\":\"/echo/x y\""));
    assert_non_null(strstr(a, "\"id\":\"x y\""));
    assert_non_null(strstr(a, "\"q\":\"a&b\""));
    assert_non_null(strstr(a, "\"base\":\"http://example.org:1\""));
    assert_non_null(strstr(a, "\"bearer\":\"tok\""));
    assert_non_null(strstr(a, "\"cookie\":\"v\""));
    assert_non_null(strstr(a, "\"peer\":\"127.0.0.1\""));
    assert_non_null(strstr(a, "\"local\":true"));
    a = ask("POST /echo/1 HTTP/1.1\r\nHost: h:2\r\nAuthorization: Basic YTpiOmM=\r\n"
            "Content-Length: 2\r\n\r\nhi",
            "password");
    assert_non_null(strstr(a, "\"base\":\"http://h:2\""));
    assert_non_null(strstr(a, "\"body\":\"hi\""));
    assert_non_null(strstr(a, "\"user\":\"a\",\"password\":\"b:c\""));
}

static void refuses_in_json(void **state)
{
    (void)state;
    char *a = ask("GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n", "request_id");
    assert_non_null(strstr(a, "HTTP/1.1 404"));
    assert_non_null(strstr(a, "\"code\":\"NOT_FOUND\""));
    a = ask("DELETE /echo/1 HTTP/1.1\r\nHost: h\r\n\r\n", "request_id");
    assert_non_null(strstr(a, "HTTP/1.1 405"));
    assert_non_null(strstr(a, "\r\nAllow: GET, HEAD, POST\r\n"));
    a = ask("GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", "request_id");
    assert_non_null(strstr(a, "HTTP/1.1 400"));
    a = ask("POST /json HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n[1]", "request_id");
    assert_non_null(strstr(a, "HTTP/1.1 400"));
    assert_non_null(strstr(a, "it has to be an object"));
}

static void refuses_a_large_body_after_reading_it(void **state)
{
    (void)state;
    autobuf struct buf b = BUF_INIT;
    buf_str(&b, "POST /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n");
    for (int i = 0; i < 5000; i++)
        buf_char(&b, 'x');
    buf_str(&b, "GET /echo/next HTTP/1.1\r\nHost: h\r\n\r\n");
    char *a = ask(b.data, "/echo/next");
    assert_non_null(strstr(a, "HTTP/1.1 413"));
    assert_non_null(strstr(a, "HTTP/1.1 200"));
}

static void answers_later(void **state)
{
    (void)state;
    int fd = dial();
    const char *request = "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n";
    send(fd, request, strlen(request), 0);
    for (int i = 0; i < 1000 && !held; i++)
        loop_once(loop, 1000);
    assert_non_null(held);
    assert_false(req_is_over(held));
    reply_text(held, 200, "text/plain", "late", 4);
    req_unref(held);
    held = NULL;
    assert_non_null(strstr(answer(fd, "late"), "late"));
    /* Without an answer: 503 after the deadline. */
    send(fd, request, strlen(request), 0);
    char *a = answer(fd, "SERVICE_BUSY");
    assert_non_null(strstr(a, "HTTP/1.1 503"));
    assert_non_null(strstr(a, "Retry-After: 1"));
    assert_true(req_is_over(held));
    req_unref(held);
    held = NULL;
    /* A client that leaves is noticed when asked. */
    send(fd, request, strlen(request), 0);
    for (int i = 0; i < 1000 && !held; i++)
        loop_once(loop, 1000);
    close(fd);
    assert_true(req_is_over(held));
    reply_text(held, 200, "text/plain", "x", 1);
    req_unref(held);
    held = NULL;
    loop_once(loop, 1000);
}

static void streams_events(void **state)
{
    (void)state;
    int fd = dial();
    const char *request = "GET /events HTTP/1.1\r\nHost: h\r\n\r\n";
    send(fd, request, strlen(request), 0);
    assert_non_null(strstr(answer(fd, "retry"), "text/event-stream"));
    assert_int_equal(sse_send(stream, "task", "{\"a\":1}\nsecond"), 0);
    assert_non_null(strstr(answer(fd, "second"), "event: task\ndata: {\"a\":1}\ndata: second\n\n"));
    sse_end(stream);
    answer(fd, NULL);
    close(fd);
    /* The client goes first. */
    fd = dial();
    send(fd, request, strlen(request), 0);
    answer(fd, "retry");
    close(fd);
    int rc = 0;
    for (int i = 0; i < 1000 && rc == 0; i++) {
        rc = sse_send(stream, "e", "x");
        loop_once(loop, 1000);
    }
    assert_int_equal(rc, -1);
    sse_end(stream);
}

static void reads_forms(void **state)
{
    (void)state;
    char *a = ask("POST /form HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na=b+c&d=e", "b c");
    assert_non_null(strstr(a, "b c"));
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static void drains(void **state)
{
    (void)state;
    bool done = false;
    server_drain(server, LOOP_S(5), set_flag, &done);
    for (int i = 0; i < 1000 && !done; i++)
        loop_once(loop, 1000);
    assert_true(done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_and_decodes),
        cmocka_unit_test(refuses_in_json),
        cmocka_unit_test(refuses_a_large_body_after_reading_it),
        cmocka_unit_test(answers_later),
        cmocka_unit_test(streams_events),
        cmocka_unit_test(reads_forms),
        cmocka_unit_test(drains),
    };
    return cmocka_run_group_tests_name("server", tests, set_up, tear_down);
}
