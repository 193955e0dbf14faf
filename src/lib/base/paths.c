/* See paths.h. */
#include "lib/base/paths.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"

/* Cuts the last part of the path; the part. */
static char *cut(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash)
        return path;
    *slash = '\0';
    return slash + 1;
}

const char *paths_prefix(void)
{
    static char prefix[PATH_MAX];
    if (prefix[0])
        return prefix;
    ssize_t n = readlink("/proc/self/exe", prefix, sizeof(prefix) - 1);
    if (n <= 0) {
        snprintf(prefix, sizeof(prefix), "/usr");
        return prefix;
    }
    prefix[n] = '\0';
    cut(prefix);                      /* the program */
    const char *folder = cut(prefix); /* bin, or sallyport */
    if (strcmp(folder, "sallyport") == 0)
        cut(prefix); /* libexec */
    return prefix;
}

char *paths_bin(const char *name)
{
    return xasprintf("%s/bin/%s", paths_prefix(), name);
}

char *paths_libexec(const char *name)
{
    return xasprintf("%s/libexec/sallyport/%s", paths_prefix(), name);
}

char *paths_share(const char *name)
{
    return xasprintf("%s/share/sallyport/%s", paths_prefix(), name);
}
