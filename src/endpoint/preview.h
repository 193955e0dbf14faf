/* `user-endpoint --print-script NAME`: reads the document of document.h, of which only `config` is
 * looked at, and writes one JSON object to standard output: blocks_preview()'s with
 *
 *   engine       "GlobusComputeEngine", ...
 *   idle         {soft_s, hard_s}, null = it never leaves by itself
 *   warnings     list of sentences
 *
 * or {"error": a sentence} when it would not start.  Nothing is made, run or submitted.  The port
 * in the script is the first that would be tried. */
#ifndef SALLYPORT_ENDPOINT_PREVIEW_H
#define SALLYPORT_ENDPOINT_PREVIEW_H

#include "endpoint/document.h"

/* name: the endpoint's, for its folder.  An exit code. */
int preview_print(const char *name, const struct document *d);

#endif
