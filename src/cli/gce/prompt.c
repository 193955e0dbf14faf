/* See prompt.h. */
#include "cli/gce/prompt.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LINE_MAX_BYTES 1024

const char *prompt_line(const char *question)
{
    static char line[LINE_MAX_BYTES];
    printf("%s", question);
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        return NULL;
    size_t n = strlen(line);
    while (n > 0 && isspace((unsigned char)line[n - 1]))
        line[--n] = '\0';
    return line + strspn(line, " \t");
}

int prompt_confirm(const char *question)
{
    for (;;) {
        printf("%s", question);
        const char *answer = prompt_line(" [y/N]: ");
        if (answer && (strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0))
            return 0;
        bool is_no =
            !answer || !*answer || strcasecmp(answer, "n") == 0 || strcasecmp(answer, "no") == 0;
        if (is_no) {
            fprintf(stderr, "Aborted!\n");
            return 1;
        }
        printf("Error: invalid input\n");
    }
}
