/* Which interpreter runs workers and `python-exec`: the one of the user's environment. */
#ifndef SALLYPORT_PYTHON_PYTHON_H
#define SALLYPORT_PYTHON_PYTHON_H

#include "lib/base/err.h"

/* Path or name for exec; caller frees; NULL with err when there is none. */
char *python_find(struct err *err);

#endif
