#include "endpoint/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <math.h>
#include <net/if.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/buf.h"
#include "lib/base/fs.h"
#include "lib/base/paths.h"

#define TEXT_MAX INET6_ADDRSTRLEN
#define LISTED_MAX 24
#define QUERY_S 3 /* unless the option timeout says otherwise */
#define QUERY_MOST_S 30

static char *text_of(const struct sockaddr *sa)
{
    char text[TEXT_MAX];
    if (sa == NULL || sa->sa_family != AF_INET ||
        inet_ntop(AF_INET, &((const struct sockaddr_in *)sa)->sin_addr, text, sizeof(text)) == NULL)
        return NULL;
    return xstrdup(text);
}

static char *by_interface(const char *name, struct err *err)
{
    struct ifreq req = {0};
    /* Longer names can't exist; the kernel's own limit cuts them, as it does for the original. */
    strncpy(req.ifr_name, name, sizeof(req.ifr_name) - 1);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int rc = fd >= 0 ? ioctl(fd, SIOCGIFADDR, &req) : -1;
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (rc == 0)
        return text_of(&req.ifr_addr);
    err_set(err, "[Errno %d] %s (address_by_interface: %s)", why, strerror(why), name);
    return NULL;
}

static char *by_hostname(struct err *err)
{
    char name[256] = "";
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    gethostname(name, sizeof(name) - 1);
    int rc = getaddrinfo(name, NULL, &hints, &found);
    if (rc != 0) {
        err_set(err, "address_by_hostname: %s has no address: %s", name, gai_strerror(rc));
        return NULL;
    }
    char *text = text_of(found->ai_addr);
    freeaddrinfo(found);
    return text;
}

/* The source address that the kernel would choose; nothing is sent. */
static char *by_route(struct err *err)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)}, from;
    socklen_t n = sizeof(from);
    char *text = NULL;
    inet_pton(AF_INET, "8.8.8.8", &to.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
        getsockname(fd, (struct sockaddr *)&from, &n) == 0)
        text = text_of((struct sockaddr *)&from);
    else
        err_errno(err, "address_by_route: no route out");
    if (fd >= 0)
        close(fd);
    return text;
}

/* The body of an outside server's answer, by a program of its own: the user endpoint carries no
 * HTTP library through its life for one question at the start. */
static pid_t ask_outside(const char *url, int seconds, int *answer)
{
    int pair[2];
    autofree char *program = paths_libexec("own-address"), *limit = xasprintf("%d", seconds);
    if (pipe2(pair, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pair[1], STDOUT_FILENO);
        execl(program, program, url, limit, (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    *answer = pair[0];
    if (pid < 0)
        close(pair[0]);
    return pid;
}

static char *by_query(struct json_object *spec, struct err *err)
{
    const char *url = getenv("SALLYPORT_ADDRESS_QUERY_URL");
    struct json_object *given = json_object_object_get(spec, "timeout");
    double seconds = given != NULL ? json_object_get_double(given) : QUERY_S;
    autobuf struct buf text = BUF_INIT;
    unsigned char bits[16];
    int fd = -1, status = -1;
    if (seconds <= 0 || seconds > QUERY_MOST_S) {
        err_set(err, "address_by_query: timeout must be a number of seconds up to %d, it is %s",
                QUERY_MOST_S, json_object_get_string(given));
        return NULL;
    }
    url = url != NULL && *url != '\0' ? url : "https://api.ipify.org";
    pid_t pid = ask_outside(url, (int)ceil(seconds), &fd);
    if (pid > 0) {
        fs_read_fd(fd, TEXT_MAX * 4, "the answer", &text, NULL);
        close(fd);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    buf_char(&text, '\0');
    char *word = text.data + strspn(text.data, " \t\r\n");
    word[strcspn(word, " \t\r\n")] = '\0';
    if (status == 0 &&
        (inet_pton(AF_INET, word, bits) == 1 || inet_pton(AF_INET6, word, bits) == 1))
        return xstrdup(word);
    err_set(err,
            "address_by_query: %s did not tell an address within %g s (the log says more); where "
            "this host has no way out, use address_by_interface or address_by_route",
            url, seconds);
    return NULL;
}

static bool add(struct buf *list, char *address)
{
    size_t n = address != NULL ? strlen(address) : 0;
    bool is_new = n > 0;
    for (const char *p = list->data; is_new && p != NULL && *p != '\0';) {
        size_t len = strcspn(p, ",");
        is_new = len != n || memcmp(p, address, n) != 0;
        p += len + (p[len] == ',');
    }
    if (is_new)
        buf_fmt(list, "%s%s", list->len > 0 ? "," : "", address);
    free(address);
    return is_new;
}

char *address_all(void)
{
    struct buf list = BUF_INIT;
    struct ifaddrs *all = NULL;
    int count = 0;
    add(&list, by_route(NULL));
    add(&list, by_hostname(NULL));
    if (getifaddrs(&all) == 0)
        for (struct ifaddrs *i = all; i != NULL && count < LISTED_MAX; i = i->ifa_next)
            count += (i->ifa_flags & IFF_UP) && add(&list, text_of(i->ifa_addr));
    freeifaddrs(all);
    return buf_take(&list);
}

/* Known keys of each function, a blank behind each. */
static const struct {
    const char *type, *keys;
} kinds[] = {
    {"address_by_interface", "ifname "}, {"address_by_hostname", ""}, {"address_by_route", ""},
    {"address_by_query", "timeout "},    {"get_any_address", ""},
};

static int check(struct json_object *spec, const char *type, struct err *err)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (strcmp(kinds[i].type, type) != 0)
            continue;
        json_object_object_foreach(spec, key, value)
        {
            autofree char *word = xasprintf("%s ", key);
            if (strcmp(key, "type") != 0 && value != NULL && strstr(kinds[i].keys, word) == NULL)
                return err_set(err, "%s() got an unexpected keyword argument '%s'", type, key);
        }
        return 0;
    }
    return err_set(err,
                   "'%s' is not a valid address. Valid options are: address_by_interface, "
                   "address_by_hostname, address_by_route, address_by_query, get_any_address",
                   type);
}

char *address_resolve(struct json_object *spec, struct err *err)
{
    if (json_object_is_type(spec, json_type_string))
        return xstrdup(json_object_get_string(spec));
    if (!json_object_is_type(spec, json_type_object)) {
        err_set(err, "address must be text or a mapping with a type, it is %s", json_kind(spec));
        return NULL;
    }
    const char *type = json_str_or(spec, "type", ""), *ifname = json_str_or(spec, "ifname", NULL);
    if (check(spec, type, err) != 0)
        return NULL;
    if (strcmp(type, "address_by_interface") == 0 && ifname == NULL) {
        err_set(err, "address_by_interface needs ifname, the name of a network interface");
        return NULL;
    }
    if (strcmp(type, "address_by_interface") == 0)
        return by_interface(ifname, err);
    if (strcmp(type, "address_by_hostname") == 0)
        return by_hostname(err);
    if (strcmp(type, "address_by_query") == 0)
        return by_query(spec, err);
    char *found = by_route(err);
    return found != NULL || strcmp(type, "get_any_address") != 0 ? found : by_hostname(err);
}
