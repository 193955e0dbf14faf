#include "service/http/forwarded.h"

#include <arpa/inet.h>
#include <string.h>

static bool is_port(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n > 0 && n < 6 && !s[n];
}

/* Takes "[...]", and the port where it can't be a part of the address. */
static bool strip(char *text, const char **address)
{
    char *end = *text == '[' ? strchr(text, ']') : strchr(text, ':');
    *address = *text == '[' ? text + 1 : text;
    if (*text == '[') {
        if (!end || (end[1] && (end[1] != ':' || !is_port(end + 2))))
            return false;
        *end = '\0';
    } else if (end && !strchr(end + 1, ':')) {
        if (!is_port(end + 1))
            return false;
        *end = '\0';
    }
    return true;
}

bool forwarded_address(const char *text, size_t n, char out[FORWARDED_ADDRESS])
{
    char copy[FORWARDED_ADDRESS + 9]; /* "[", "]:65535" */
    const char *address;
    struct in_addr v4;
    struct in6_addr v6;
    for (; n && (*text == ' ' || *text == '\t'); n--)
        text++;
    for (; n && (text[n - 1] == ' ' || text[n - 1] == '\t');)
        n--;
    if (n >= sizeof(copy) || memchr(text, '\0', n))
        return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    if (!strip(copy, &address))
        return false;
    if (inet_pton(AF_INET, address, &v4) == 1)
        return inet_ntop(AF_INET, &v4, out, FORWARDED_ADDRESS) != NULL;
    if (inet_pton(AF_INET6, address, &v6) != 1)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) /* one person, one name */
        return inet_ntop(AF_INET, v6.s6_addr + 12, out, FORWARDED_ADDRESS) != NULL;
    return inet_ntop(AF_INET6, &v6, out, FORWARDED_ADDRESS) != NULL;
}

bool forwarded_client(const char *list, bool (*is_proxy)(void *arg, const char *address), void *arg,
                      char out[FORWARDED_ADDRESS])
{
    size_t end = strlen(list);
    bool found = false;
    for (;;) {
        char one[FORWARDED_ADDRESS];
        size_t begin = end;
        while (begin && list[begin - 1] != ',')
            begin--;
        if (!forwarded_address(list + begin, end - begin, one))
            return found;
        strcpy(out, one);
        found = true;
        if (!begin || !is_proxy(arg, one))
            return true;
        end = begin - 1;
    }
}
