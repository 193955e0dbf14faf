/* See clean.h. */
#include "manager/monitor/clean.h"

#include <string.h>

/* Bytes of the well-formed UTF-8 character at p that is no control character; 0 = none. */
static size_t character(const unsigned char *p)
{
    size_t n = p[0] < 0x20 || p[0] == 0x7f   ? (p[0] == '\t')
               : p[0] < 0x80                 ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : (p[0] & 0xf0) == 0xe0       ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if (p[0] == 0xc2 && p[1] < 0xa0)
        return 0; /* C1: some terminals obey them */
    if (p[0] == 0xe2 && p[1] == 0x80 && ((p[2] >= 0xa8 && p[2] <= 0xae) || p[2] == 0x8f))
        return 0; /* line separators and marks that turn the writing direction */
    return n;
}

char *clean_text(char *text, size_t size, bool keep_lines)
{
    size_t len = strnlen(text, size - 1);
    text[len] = '\0';
    for (size_t i = 0, n; i < len; i += n) {
        n = character((unsigned char *)text + i);
        if (n)
            continue;
        n = 1;
        if (text[i] != '\n' || !keep_lines)
            text[i] = '?';
        else if (text[i + 1] != ' ' && text[i + 1] != '\t' && text[i + 1] != '\0')
            text[i] = '|'; /* one line after all, and it shows */
    }
    return text;
}
