/* See chain.h; and the offline verifier. */
#include "lib/audit/chain.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH (AUDIT_HASH_TEXT - 1)
#define MARK (sizeof(CHAIN_MARK) - 1)
#define PREV (sizeof(CHAIN_PREV) - 1)
#define LINE_MAX_BYTES (2 * AUDIT_MESSAGE_MAX)

void chain_hash(const char *before, const char *line, size_t n, char out[AUDIT_HASH_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char digest[32];
    unsigned len = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(ctx, before, HASH) != 1 || EVP_DigestUpdate(ctx, line, n) != 1 ||
        EVP_DigestFinal_ex(ctx, digest, &len) != 1 || len != sizeof(digest)) {
        fprintf(stderr, "SHA-256 is not available\n");
        abort(); /* a chain of anything else would be a lie */
    }
    EVP_MD_CTX_free(ctx);
    for (size_t i = 0; i < sizeof(digest); i++) {
        out[2 * i] = hex[digest[i] >> 4];
        out[2 * i + 1] = hex[digest[i] & 15];
    }
    out[HASH] = '\0';
}

static bool is_hash(const char *p)
{
    for (size_t i = 0; i < HASH; i++)
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
            return false;
    return true;
}

/* The mark and a hash at the end of the line; the length of what stands before it. */
static bool ends_with(const char *line, size_t n, const char *mark, size_t mark_len, size_t *before,
                      char out[AUDIT_HASH_TEXT])
{
    if (n < mark_len + HASH || memcmp(line + n - HASH - mark_len, mark, mark_len) != 0 ||
        !is_hash(line + n - HASH))
        return false;
    *before = n - HASH - mark_len;
    memcpy(out, line + n - HASH, HASH);
    out[HASH] = '\0';
    return true;
}

bool chain_of_last_line(const char *text, size_t n, char out[AUDIT_HASH_TEXT])
{
    size_t before;
    if (n == 0 || text[n - 1] != '\n')
        return false;
    return ends_with(text, n - 1, CHAIN_MARK, MARK, &before, out);
}

static int check_line(const char *line, size_t n, const char *path, struct audit_report *r,
                      struct err *err)
{
    char hash[AUDIT_HASH_TEXT], prev[AUDIT_HASH_TEXT], real[AUDIT_HASH_TEXT];
    size_t body, rest;
    if (!ends_with(line, n, CHAIN_MARK, MARK, &body, hash)) {
        if (r->chained == 0)
            return 0; /* from before the chain was switched on */
        return err_set(err, "%s: line %" PRIu64 " is not part of the chain", path, r->lines);
    }
    bool names_prev = ends_with(line, body, CHAIN_PREV, PREV, &rest, prev);
    if (r->chained == 0) {
        if (!names_prev)
            return err_set(err, "%s: line %" PRIu64 ": the beginning of the chain is missing", path,
                           r->lines);
        memcpy(r->first, prev, sizeof(prev));
        memcpy(r->last, prev, sizeof(prev));
    }
    chain_hash(r->last, line, body, real);
    if (memcmp(real, hash, HASH) != 0)
        return err_set(err,
                       "%s: line %" PRIu64 " does not follow from the line before: one of them was "
                       "changed, or something between them is missing",
                       path, r->lines);
    memcpy(r->last, hash, sizeof(hash));
    r->chained++;
    return 0;
}

int audit_verify(const char *path, const char *after, struct audit_report *r, struct err *err)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int rc = 0;
    *r = (struct audit_report){0};
    FILE *f = fopen(path, "re");
    if (!f)
        return err_errno(err, "cannot open %s", path);
    while (rc == 0 && (n = getline(&line, &room, f)) > 0) {
        r->lines++;
        if (line[n - 1] != '\n' || n > LINE_MAX_BYTES)
            rc = err_set(err, "%s: line %" PRIu64 " is no whole line", path, r->lines);
        else
            rc = check_line(line, (size_t)n - 1, path, r, err);
    }
    if (rc == 0 && ferror(f))
        rc = err_errno(err, "cannot read %s", path);
    free(line);
    fclose(f);
    if (rc == 0 && after && (r->chained == 0 || strcmp(after, r->first) != 0))
        rc = err_set(err, "%s does not go on from the hash %s", path, after);
    return rc;
}
