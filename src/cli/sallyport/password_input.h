/* Reading a password: from a terminal without echo, twice; or a line of standard input. */
#ifndef SALLYPORT_CLI_PASSWORD_INPUT_H
#define SALLYPORT_CLI_PASSWORD_INPUT_H

#include <stdbool.h>

#include "lib/base/err.h"

/* The caller's; end it with wipe_free().  NULL with err. */
char *password_input(bool from_stdin, const char *what, struct err *err);

#endif
