/* Questions on standard output, answers on standard input, terminals or not. */
#ifndef SALLYPORT_GCE_PROMPT_H
#define SALLYPORT_GCE_PROMPT_H

/* The next line, stripped, in static memory; NULL at the end of input. */
const char *prompt_line(const char *question);
/* "<question> [y/N]: " until the answer is one of them.  0 = yes; 1 = no or end of input, after
 * "Aborted!" on standard error: the exit code. */
int prompt_confirm(const char *question);

#endif
