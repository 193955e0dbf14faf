/* env: the lines that send an unmodified SDK to this service (docs/connecting.md).
 *
 *   local  the service is on this host, port 5000: nothing but names
 *   http   another host or port, plain HTTP on a network that is trusted: http_proxy carries the
 *          SDK's requests for "localhost:5000" there
 *   tls    the production names over TLS, through the service's own CONNECT port, with the site's
 *          certificate */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/sallyport/commands.h"
#include "cli/sallyport/ledger.h"
#include "cli/sallyport/show.h"
#include "lib/base/alloc.h"
#include "lib/base/fs.h"

#define URL_MAX 512

struct way {
    const char *name, *value; /* value NULL: unset it */
};

/* A service that listens on every address is reached by the host's name. */
static char *by_name(char *url)
{
    static const char *const any[] = {"://0.0.0.0", "://[::]"};
    char host[HOST_NAME_MAX + 1];
    for (size_t i = 0; url != NULL && i < sizeof any / sizeof *any; i++) {
        char *at = strstr(url, any[i]);
        if (at == NULL || gethostname(host, sizeof host) != 0)
            continue;
        host[HOST_NAME_MAX] = '\0';
        char *named = xasprintf("%.*s://%s%s", (int)(at - url), url, host, at + strlen(any[i]));
        free(url);
        return named;
    }
    return url;
}

/* Where the service says that it listens (it writes DIR/service.url), or where it would; proxy: its
 * CONNECT port, when it has one. */
static char *service_url(const struct args *a, char **proxy)
{
    const char *given = args_get(a, "--url");
    if (given != NULL)
        return xstrdup(given);
    autofree char *path = xasprintf("%s/service.url", args_data(a));
    struct buf b = BUF_INIT;
    char *url = NULL;
    if (access(path, R_OK) == 0 && fs_read(path, URL_MAX, &b, NULL) == 0 && b.len > 0)
        url = xstrndup(b.data, strcspn(b.data, "\n"));
    const char *second = url == NULL ? NULL : b.data + strlen(url) + (b.data[strlen(url)] != '\0');
    if (second != NULL && *second != '\0')
        *proxy = xstrndup(second, strcspn(second, "\n"));
    buf_free(&b);
    url = by_name(url);
    *proxy = by_name(*proxy);
    return url != NULL ? url : xstrdup("http://localhost:5000");
}

static bool is_plain_url(const char *url)
{
    const char *host = strncmp(url, "http://", 7) == 0    ? url + 7
                       : strncmp(url, "https://", 8) == 0 ? url + 8
                                                          : NULL;
    return host != NULL && *host != '\0' && *host != '/' && strlen(url) < URL_MAX &&
           host[strcspn(host, " \t\"'`$\\;&|<>()@?#")] == '\0';
}

static void print_ways(const struct args *a, const struct way *ways, size_t n)
{
    if (args_has(a, "--json")) {
        struct json_object *o = json_object_new_object();
        for (size_t i = 0; i < n; i++)
            json_add_str(o, ways[i].name, ways[i].value);
        show_json(o);
        json_object_put(o);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (ways[i].value == NULL)
            printf("unset %s\n", ways[i].name);
        else
            printf("export %s='%s'\n", ways[i].name, ways[i].value);
    }
    if (isatty(STDOUT_FILENO))
        fprintf(stderr, "To use them:  eval \"$(sallyport env)\"\n");
}

static const char *choose(const char *url, const char *asked)
{
    if (asked != NULL)
        return asked;
    if (strncmp(url, "https://", 8) == 0)
        return "tls";
    static const char *const here[] = {"http://localhost:5000", "http://127.0.0.1:5000",
                                       "http://[::1]:5000"};
    for (size_t i = 0; i < sizeof here / sizeof *here; i++)
        if (strcmp(url, here[i]) == 0)
            return "local";
    return "http";
}

int cmd_env(const struct args *a)
{
    autofree char *proxy = NULL;
    autofree char *url = service_url(a, &proxy);
    for (size_t n = strlen(url); n > 0 && url[n - 1] == '/'; n--)
        url[n - 1] = '\0';
    const char *connect = args_has(a, "--proxy") ? args_get(a, "--proxy") : proxy;
    const char *ca = args_get(a, "--ca");
    if (!is_plain_url(url) || (connect != NULL && !is_plain_url(connect)))
        return usage(a->command, "\"%s\" is not a URL of the form http://HOST:PORT.",
                     is_plain_url(url) ? connect : url);
    if (ca != NULL && strpbrk(ca, "'\n") != NULL)
        return usage(a->command, "--ca: a path without quotes is needed.");
    autofree char *slashed = xasprintf("%s/", url); /* the SDK needs the slash */
    const char *way = choose(url, args_get(a, "--way"));
    if (strcmp(way, "local") == 0) {
        const struct way ways[] = {{"GLOBUS_SDK_ENVIRONMENT", "local"},
                                   {"GLOBUS_SDK_SERVICE_URL_AUTH", slashed}};
        print_ways(a, ways, sizeof ways / sizeof *ways);
    } else if (strcmp(way, "http") == 0) {
        const struct way ways[] = {{"GLOBUS_SDK_ENVIRONMENT", "local"},
                                   {"GLOBUS_SDK_SERVICE_URL_AUTH", slashed},
                                   {"http_proxy", url},
                                   {"no_proxy", NULL},
                                   {"NO_PROXY", NULL}};
        print_ways(a, ways, sizeof ways / sizeof *ways);
    } else if (strcmp(way, "tls") == 0) {
        const char *host = strstr(url, "://") + 3;
        autofree char *name = xstrndup(host, strcspn(host, ":/"));
        struct way ways[6] = {{"GLOBUS_SDK_ENVIRONMENT", NULL},
                              {"GLOBUS_SDK_SERVICE_URL_AUTH", slashed}};
        size_t n = 2;
        if (connect != NULL) {
            ways[n++] = (struct way){"https_proxy", connect};
            ways[n++] = (struct way){"no_proxy", name}; /* sign-in goes there directly */
        }
        if (ca != NULL) {
            ways[n++] = (struct way){"GLOBUS_SDK_VERIFY_SSL", ca};
            ways[n++] = (struct way){"SSL_CERT_FILE", ca}; /* AMQPS looks here */
        }
        print_ways(a, ways, n);
    } else {
        return usage(a->command, "--way is local, http or tls, not \"%s\".", way);
    }
    return 0;
}
