/* Where the installed tree is: found from /proc/self/exe, so that the tree can be moved.
 *   <prefix>/bin/X and <prefix>/libexec/sallyport/X both give <prefix>. */
#ifndef SALLYPORT_BASE_PATHS_H
#define SALLYPORT_BASE_PATHS_H

/* Static memory, absolute, no trailing slash. */
const char *paths_prefix(void);
/* <prefix>/bin/<name>, <prefix>/libexec/sallyport/<name>, <prefix>/share/sallyport/<name>;
 * caller frees. */
char *paths_bin(const char *name);
char *paths_libexec(const char *name);
char *paths_share(const char *name);

#endif
