/* Foreign text before it reaches a log or a terminal. */
#ifndef SALLYPORT_MANAGER_MONITOR_CLEAN_H
#define SALLYPORT_MANAGER_MONITOR_CLEAN_H

#include <stdbool.h>
#include <stddef.h>

/* In place: control characters and what is no UTF-8 become '?'.  keep_lines: '\n' stays, but the
 * next line begins with blanks, so that it can't pass for a line of its own. */
char *clean_text(char *text, size_t size, bool keep_lines);

#endif
