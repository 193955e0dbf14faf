/* See uuid.h. */
#include "lib/base/uuid.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/alloc.h"

static void format(const unsigned char b[16], char out[UUID_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    char *p = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = hex[b[i] >> 4];
        *p++ = hex[b[i] & 15];
    }
    *p = '\0';
}

bool uuid_is_canonical(const char *s)
{
    for (int i = 0; i < 36; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        bool digit = (s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f');
        if (hyphen ? s[i] != '-' : !digit)
            return false;
    }
    return s[36] == '\0';
}

bool uuid_parse(const char *s, char out[UUID_TEXT])
{
    /* As Python does: "urn:" and "uuid:" go, braces at the ends go, all hyphens go, then 32 digits
     * must be left. */
    if (strncmp(s, "urn:", 4) == 0)
        s += 4;
    if (strncmp(s, "uuid:", 5) == 0)
        s += 5;
    char digits[33];
    size_t n = 0;
    size_t len = strlen(s);
    while (len && (s[0] == '{' || s[0] == '}'))
        s++, len--;
    while (len && (s[len - 1] == '{' || s[len - 1] == '}'))
        len--;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '-')
            continue;
        if (n == 32 || !isxdigit((unsigned char)s[i]))
            return false;
        digits[n++] = (char)tolower((unsigned char)s[i]);
    }
    if (n != 32)
        return false;
    snprintf(out, UUID_TEXT, "%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8, digits + 12,
             digits + 16, digits + 20);
    return true;
}

void uuid_random(char out[UUID_TEXT])
{
    unsigned char b[16];
    if (getrandom(b, sizeof(b), 0) != sizeof(b))
        abort(); /* cannot happen for 16 bytes once the kernel's pool is ready */
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    format(b, out);
}

static unsigned nibble(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

void uuid_v5(const char *ns, const char *name, char out[UUID_TEXT])
{
    unsigned char nsb[16];
    for (int i = 0, n = 0; n < 16; n++) {
        if (ns[i] == '-')
            i++;
        nsb[n] = (unsigned char)(nibble(ns[i]) << 4 | nibble(ns[i + 1]));
        i += 2;
    }
    unsigned char md[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) != 1 ||
        EVP_DigestUpdate(ctx, nsb, sizeof(nsb)) != 1 ||
        EVP_DigestUpdate(ctx, name, strlen(name)) != 1 || EVP_DigestFinal_ex(ctx, md, NULL) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
    md[6] = (unsigned char)((md[6] & 0x0f) | 0x50);
    md[8] = (unsigned char)((md[8] & 0x3f) | 0x80);
    format(md, out);
}
