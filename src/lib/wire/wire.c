/* Reading and writing message bodies; the contract is in wire.h. */
#include "lib/wire/wire.h"

#include <stdio.h>
#include <string.h>

#include "lib/wire/walk.h"

bool wire_span_is_null(struct wire_span s)
{
    return !s.p || (s.n == 4 && memcmp(s.p, "null", 4) == 0);
}

static unsigned hex4(const char *p)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i];
        v = v * 16 + (c <= '9' ? c - 0u - '0' : (c | 0x20u) - 'a' + 10u);
    }
    return v;
}

static void add_utf8(struct buf *out, unsigned c)
{
    if (c < 0x80) {
        buf_char(out, (char)c);
    } else if (c < 0x800) {
        buf_char(out, (char)(0xc0 | c >> 6));
        buf_char(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_char(out, (char)(0xe0 | c >> 12));
        buf_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_char(out, (char)(0x80 | (c & 0x3f)));
    } else {
        buf_char(out, (char)(0xf0 | c >> 18));
        buf_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
        buf_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_char(out, (char)(0x80 | (c & 0x3f)));
    }
}

/* p is behind "\u"; returns how many more characters were used up (4, or 10 with a pair). */
static size_t add_unicode(struct buf *out, const char *p, const char *end)
{
    unsigned c = hex4(p);
    if (c >= 0xd800 && c < 0xdc00 && end - p >= 10 && p[4] == '\\' && p[5] == 'u') {
        unsigned low = hex4(p + 6);
        if (low >= 0xdc00 && low < 0xe000) {
            add_utf8(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
            return 10;
        }
    }
    /* Half a pair has no UTF-8. */
    add_utf8(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
    return 4;
}

int wire_span_string(struct wire_span s, struct buf *out, struct err *err)
{
    struct wire_span whole;
    if (!s.p || s.n < 2 || *s.p != '"')
        return err_set(err, "not a string");
    struct walk w = {.p = s.p, .end = s.p + s.n};
    if (walk_value(&w, &whole) != 0 || !walk_at_end(&w))
        return err_set(err, "not a string: %s", w.wrong ? w.wrong : "more follows");
    const char *end = whole.p + whole.n - 1;
    for (const char *p = whole.p + 1; p < end;) {
        const char *back = memchr(p, '\\', (size_t)(end - p));
        const char *stop = back ? back : end;
        buf_add(out, p, (size_t)(stop - p));
        p = stop;
        if (!back)
            break;
        static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
        const char *at = strchr(from, p[1]);
        p += 2;
        if (p[-1] == 'u')
            p += add_unicode(out, p, end);
        else
            buf_char(out, at ? to[at - from] : p[-1]);
    }
    buf_add(out, "", 0);
    return 0;
}

struct json_object *wire_span_json(struct wire_span s, const char *what, struct err *err)
{
    if (wire_span_is_null(s))
        return NULL;
    return json_read(s.p, s.n, s.n, what, err);
}

int wire_open(const void *body, size_t n, struct wire_message *out, struct err *err)
{
    const unsigned char *bytes = body;
    memset(out, 0, sizeof(*out));
    if (n == 0)
        return err_set(err, "the message is empty");
    if (bytes[0] != WIRE_VERSION)
        return err_set(err, "the message has protocol version %u, this program speaks %u", bytes[0],
                       WIRE_VERSION);
    struct walk w = {.p = (const char *)body + 1, .end = (const char *)body + n};
    struct wire_span key, value, type = {0};
    int rc = walk_object(&w);
    for (bool first = true; rc == 0; first = false) {
        int more = walk_member(&w, first, &key, &value);
        if (more <= 0) {
            rc = more;
            break;
        }
        if (walk_key_is(key, "message_type"))
            type = value;
        else if (walk_key_is(key, "data"))
            out->data = value;
    }
    if (rc != 0 || !walk_at_end(&w))
        return err_set(err, "the message is not JSON: %s", w.wrong ? w.wrong : "more follows");
    struct buf text autobuf = BUF_INIT;
    if (wire_span_string(type, &text, NULL) != 0)
        return err_set(err, "the message has no message_type");
    if (!out->data.p || *out->data.p != '{')
        return err_set(err, "the message has no data object");
    snprintf(out->type, sizeof(out->type), "%s", text.data);
    return 0;
}

struct field {
    const char *name;
    struct wire_span *to;
};

/* The wanted members of a data object, which wire_open() has checked. */
static void pick(struct wire_span data, const struct field *fields)
{
    struct walk w = {.p = data.p, .end = data.p + data.n};
    struct wire_span key, value;
    if (walk_object(&w) != 0)
        return;
    for (bool first = true; walk_member(&w, first, &key, &value) == 1; first = false)
        for (const struct field *f = fields; f->name; f++)
            if (walk_key_is(key, f->name))
                *f->to = value;
}

static int open_as(const char *type, const void *body, size_t n, struct wire_message *m,
                   struct err *err)
{
    if (wire_open(body, n, m, err) != 0)
        return -1;
    if (strcmp(m->type, type) != 0)
        return err_set(err, "the message is of type %s, wanted %s", m->type, type);
    return 0;
}

static int read_uuid(struct wire_span s, const char *what, char out[UUID_TEXT], struct err *err)
{
    struct buf text autobuf = BUF_INIT;
    if (!s.p)
        return err_set(err, "%s is missing", what);
    if (s.n > 64 || wire_span_string(s, &text, NULL) != 0 || !text.data ||
        !uuid_parse(text.data, out))
        return err_set(err, "%s is not a UUID", what);
    return 0;
}

int wire_read_result(const void *body, size_t n, struct wire_result *out, struct err *err)
{
    struct wire_message m;
    struct wire_span id = {0};
    memset(out, 0, sizeof(*out));
    if (open_as("result", body, n, &m, err) != 0)
        return -1;
    pick(m.data, (const struct field[]){{"task_id", &id},
                                        {"data", &out->data},
                                        {"details", &out->details},
                                        {"error_details", &out->error_details},
                                        {"task_statuses", &out->task_statuses},
                                        {NULL, NULL}});
    if (read_uuid(id, "task_id", out->task_id, err) != 0)
        return -1;
    if (!out->data.p || *out->data.p != '"')
        return err_set(err, "data is missing or not a string");
    if (!wire_span_is_null(out->error_details) && *out->error_details.p != '{')
        return err_set(err, "error_details is not an object");
    out->is_error = !wire_span_is_null(out->error_details);
    return 0;
}

int wire_read_status(const void *body, size_t n, struct wire_status *out, struct err *err)
{
    struct wire_message m;
    struct wire_span id = {0}, state = {0}, alias = {0}, tasks = {0};
    memset(out, 0, sizeof(*out));
    if (open_as("ep_status_report", body, n, &m, err) != 0)
        return -1;
    pick(m.data, (const struct field[]){{"endpoint_id", &id},
                                        {"global_state", &state},
                                        {"ep_status_report", &alias},
                                        {"task_statuses", &tasks},
                                        {NULL, NULL}});
    if (read_uuid(id, "endpoint_id", out->endpoint_id, err) != 0)
        return -1;
    if (!state.p)
        state = alias;
    if (!state.p || *state.p != '{')
        return err_set(err, "global_state is missing or not an object");
    out->global_state = wire_span_json(state, "global_state", err);
    if (!out->global_state)
        return -1;
    if (!wire_span_is_null(tasks) && *tasks.p == '{') {
        out->task_statuses = wire_span_json(tasks, "task_statuses", err);
        if (!out->task_statuses) {
            wire_status_clear(out);
            return -1;
        }
    }
    return 0;
}

void wire_status_clear(struct wire_status *s)
{
    json_object_put(s->global_state);
    json_object_put(s->task_statuses);
    s->global_state = s->task_statuses = NULL;
}
