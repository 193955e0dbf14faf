/* libexec/sallyport/audit-verify [--after HASH] FILE...: follows the hash chain of audit logs,
 * oldest first.  Exit code 0: whole; 1: broken, or not readable; 64: usage. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/audit/audit.h"

int main(int argc, char **argv)
{
    struct audit_report r;
    struct err err = ERR_INIT;
    char after[AUDIT_HASH_TEXT] = "";
    int i = 1;
    if (argc > 2 && strcmp(argv[1], "--after") == 0) {
        snprintf(after, sizeof(after), "%s", argv[2]);
        i = 3;
    }
    if (i >= argc || argv[i][0] == '-') {
        fprintf(stderr, "Usage: audit-verify [--after HASH] FILE...   (oldest first)\n");
        return 64;
    }
    for (; i < argc; i++) {
        if (audit_verify(argv[i], after[0] ? after : NULL, &r, &err) < 0) {
            fprintf(stderr, "Error: %s\n", err.text);
            return 1;
        }
        printf("%s: %" PRIu64 " lines, %" PRIu64 " in the chain, last hash %s\n", argv[i], r.lines,
               r.chained, r.chained ? r.last : "none");
        if (r.chained)
            memcpy(after, r.last, sizeof(after));
    }
    return 0;
}
