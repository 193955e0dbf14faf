/* One table says for each type who may send it, what is in it and how many descriptors come along.
 * What is sent is built field by field from zeros, so that nothing else of a process leaks. */
#include "manager/table.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FDS_MAX 2

enum part { PART_NONE, PART_ID, PART_START, PART_HELLO, PART_TEXT };

static const struct kind {
    uint32_t type;
    bool from_listener;
    enum part part;
    unsigned fds_min, fds_max;
} kinds[] = {
    {TABLE_REGISTERED, true, PART_ID, 0, 0}, {TABLE_START, true, PART_START, 2, 2},
    {TABLE_REFRESH, true, PART_START, 1, 1}, {TABLE_FATAL, true, PART_TEXT, 0, 0},
    {TABLE_HELLO, false, PART_HELLO, 0, 0},  {TABLE_FILE, false, PART_NONE, 0, 1},
    {TABLE_STARTED, false, PART_NONE, 0, 0}, {TABLE_RUNNING, false, PART_START, 0, 0},
    {TABLE_FAILED, false, PART_TEXT, 0, 0},  {TABLE_REFRESHED, false, PART_NONE, 0, 0},
    {TABLE_EXITED, false, PART_START, 0, 0}, {TABLE_STOP, false, PART_NONE, 0, 0},
};

/* A text field of a message, or of the settings. */
struct text {
    size_t at, size;
};
#define TEXT(type, member)                                                                         \
    {                                                                                              \
        offsetof(struct type, member), sizeof(((struct type *)0)->member)                          \
    }

static const struct text id_texts[] = {TEXT(table_message, endpoint_id), {0, 0}};
static const struct text start_texts[] = {TEXT(table_message, start.user),
                                          TEXT(table_message, start.name),
                                          TEXT(table_message, start.key),
                                          TEXT(table_message, start.id),
                                          TEXT(table_message, start.command),
                                          TEXT(table_message, start.correlation),
                                          {0, 0}};
static const struct text hello_texts[] = {TEXT(table_message, hello.endpoint_dir),
                                          TEXT(table_message, hello.endpoint_uuid),
                                          TEXT(table_message, hello.hostname),
                                          TEXT(table_message, hello.local_user),
                                          {0, 0}};
static const struct text text_texts[] = {
    TEXT(table_message, text.user), TEXT(table_message, text.admin), {0, 0}};

static const size_t hello_bools[] = {offsetof(struct table_message, hello.debug),
                                     offsetof(struct table_message, hello.privileged),
                                     offsetof(struct table_message, hello.can_change_user)};

#define HEAD offsetof(struct table_message, endpoint_id)
#define END_OF(member)                                                                             \
    (offsetof(struct table_message, member) + sizeof(((struct table_message *)0)->member))

static const struct {
    const struct text *texts;
    size_t size; /* of the whole packet */
} parts[] = {
    [PART_NONE] = {NULL, HEAD},
    [PART_ID] = {id_texts, END_OF(endpoint_id)},
    [PART_START] = {start_texts, END_OF(start)},
    [PART_HELLO] = {hello_texts, END_OF(hello)},
    [PART_TEXT] = {text_texts, END_OF(text)},
};

static const struct kind *kind_of(uint32_t type)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].type == type)
            return &kinds[i];
    return NULL;
}

/* Copies what belongs to the message; what it doesn't use, and what stands behind the end of a
 * text, is zero in the copy.  False: a text doesn't end. */
static bool copy(struct table_message *to, const struct table_message *from, enum part part)
{
    memset(to, 0, sizeof(*to));
    to->type = from->type;
    to->code = from->code;
    to->request = from->request;
    to->pid = from->pid;
    to->file = from->file;
    for (const struct text *t = parts[part].texts; t && t->size; t++) {
        size_t n = strnlen((const char *)from + t->at, t->size);
        if (n == t->size)
            return false;
        memcpy((char *)to + t->at, (const char *)from + t->at, n);
    }
    if (part == PART_HELLO) {
        to->hello.version = from->hello.version;
        for (size_t i = 0; i < sizeof(hello_bools) / sizeof(hello_bools[0]); i++) {
            const char *b = (const char *)from + hello_bools[i];
            if (*b != 0 && *b != 1)
                return false;
            *((char *)to + hello_bools[i]) = *b;
        }
    }
    return true;
}

/* --- sending -------------------------------------------------------------------------------- */

union control {
    char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    struct cmsghdr align;
};

int table_send(int socket, const struct table_message *m, int fd1, int fd2)
{
    const struct kind *k = kind_of(m->type);
    int fds[FDS_MAX] = {fd1, fd2};
    size_t n = (fd1 >= 0) + (size_t)(fd2 >= 0);
    struct table_message out;
    if (!k || n < k->fds_min || n > k->fds_max || (fd1 < 0 && fd2 >= 0) ||
        !copy(&out, m, k->part)) {
        errno = EINVAL;
        return -1;
    }
    union control control = {{0}};
    struct iovec iov = {.iov_base = &out, .iov_len = parts[k->part].size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
    }
    ssize_t rc;
    do {
        rc = sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (rc < 0 && errno == EINTR);
    int saved = errno;
    explicit_bzero(&out, sizeof(out)); /* it may have held a key */
    errno = saved;
    return rc < 0 ? -1 : 0;
}

/* --- receiving ------------------------------------------------------------------------------ */

/* Takes at most FDS_MAX descriptors and closes what is beyond; the number that came. */
static size_t take_fds(struct msghdr *msg, int fds[FDS_MAX])
{
    size_t came = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++, came++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (came < FDS_MAX)
                fds[came] = fd;
            else
                close(fd);
        }
    }
    return came;
}

static int check(const struct table_message *in, size_t size, size_t n_fds, bool from_listener,
                 struct table_message *m, struct err *err)
{
    if (size < HEAD)
        return err_set(err, "a packet of %zu bytes is too short for a message", size);
    const struct kind *k = kind_of(in->type);
    if (!k || k->from_listener != from_listener)
        return err_set(err, "message type %u is not one of this side's", in->type);
    if (size != parts[k->part].size)
        return err_set(err, "message type %u has %zu bytes instead of %zu", in->type, size,
                       parts[k->part].size);
    if (n_fds < k->fds_min || n_fds > k->fds_max)
        return err_set(err, "message type %u came with %zu descriptors", in->type, n_fds);
    if (!copy(m, in, k->part))
        return err_set(err, "message type %u has a text without an end", in->type);
    if (in->type == TABLE_REGISTERED && !uuid_is_canonical(m->endpoint_id))
        return err_set(err, "the endpoint's id is not a UUID");
    if (in->type == TABLE_FILE && in->file > TABLE_TOKENS)
        return err_set(err, "file %u is none that we know", in->file);
    return 0;
}

/* When the other side left without having read everything, the kernel says so once, ahead of what
 * it had sent: that still counts. */
static ssize_t receive(int socket, struct msghdr *msg)
{
    ssize_t n;
    bool reset = false;
    for (;;) {
        n = recvmsg(socket, msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n >= 0 || (errno != EINTR && (errno != ECONNRESET || reset)))
            return n;
        reset = errno == ECONNRESET;
    }
}

int table_receive(int socket, bool from_listener, struct table_message *m, int fds[2],
                  struct err *err)
{
    struct table_message in;
    /* Room for more descriptors than any message has, so that a surplus is seen (and closed)
     * rather than cut off by the kernel. */
    char control[CMSG_SPACE(sizeof(int) * 8)] __attribute__((aligned(8)));
    struct iovec iov = {.iov_base = &in, .iov_len = sizeof(in)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    fds[0] = fds[1] = -1;
    memset(&in, 0, sizeof(in));
    ssize_t n = receive(socket, &msg);
    if (n < 0 && (errno == ECONNRESET || errno == EPIPE))
        return 0;
    if (n < 0)
        return err_errno(err, "cannot receive from the other side");
    size_t came = take_fds(&msg, fds);
    if (n == 0 && came == 0)
        return 0;
    int rc = msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)
                 ? err_set(err, "a packet is larger than any message")
                 : check(&in, (size_t)n, came, from_listener, m, err);
    explicit_bzero(&in, sizeof(in));
    if (rc == 0)
        return 1;
    for (size_t i = 0; i < FDS_MAX; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
    return -1;
}

/* --- settings ------------------------------------------------------------------------------- */

static const struct text settings_texts[] = {
    TEXT(table_settings, pam_service_name),
    TEXT(table_settings, required_group),
    TEXT(table_settings, listener_user),
    TEXT(table_settings, display_name),
    TEXT(table_settings, environment),
    TEXT(table_settings, template_path),
    TEXT(table_settings, schema_path),
    TEXT(table_settings, environment_path),
    TEXT(table_settings, mapping_path),
    TEXT(table_settings, audit_log_path),
    TEXT(table_settings, user_endpoint_executable),
    TEXT(table_settings, problem),
};

static const size_t settings_bools[] = {
    offsetof(struct table_settings, seed_style),
    offsetof(struct table_settings, debug),
    offsetof(struct table_settings, high_assurance),
    offsetof(struct table_settings, has_mapping),
    offsetof(struct table_settings, pam_enable),
    offsetof(struct table_settings, allow_nologin_shells),
    offsetof(struct table_settings, no_new_privs),
    offsetof(struct table_settings, force_same_user),
    offsetof(struct table_settings, survives_manager),
    offsetof(struct table_settings, audit_hash_chain),
};

/* Ends with an empty name inside the field. */
static bool list_is_good(const char *list, size_t size)
{
    size_t at = 0;
    while (at < size) {
        size_t n = strnlen(list + at, size - at);
        if (n == 0)
            return true;
        at += n + 1;
    }
    return false;
}

bool table_settings_are_good(const struct table_settings *s)
{
    if (s->version != TABLE_VERSION)
        return false;
    for (size_t i = 0; i < sizeof(settings_texts) / sizeof(settings_texts[0]); i++) {
        const struct text *t = &settings_texts[i];
        if (strnlen((const char *)s + t->at, t->size) == t->size)
            return false;
    }
    for (size_t i = 0; i < sizeof(settings_bools) / sizeof(settings_bools[0]); i++) {
        unsigned char b = *((const unsigned char *)s + settings_bools[i]);
        if (b > 1)
            return false;
    }
    if (s->problem[0])
        return true;
    return list_is_good(s->deny_users, sizeof(s->deny_users)) && isfinite(s->heartbeat_period_s) &&
           s->heartbeat_period_s >= 1 && s->heartbeat_period_s <= 1e9 &&
           !isnan(s->grace_period_s) && s->minimum_uid >= -1 && s->max_user_endpoints >= 0 &&
           s->max_user_endpoints_per_user >= 0 && s->max_starts_per_user_per_minute >= 0 &&
           s->minimum_free_memory_mib >= 0;
}

bool table_name_is_good(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-";
    size_t n = strnlen(name, TABLE_NAME);
    return n > 0 && n < TABLE_NAME && name[0] != '-' && name[0] != '.' && strspn(name, good) == n;
}
