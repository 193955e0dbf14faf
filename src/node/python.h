/* Which interpreter runs the workers: the one of the environment that worker_init made. */
#ifndef SALLYPORT_NODE_PYTHON_H
#define SALLYPORT_NODE_PYTHON_H

#include "lib/base/err.h"

/* Path or name for exec; caller frees; NULL with err when there is none. */
char *python_find(struct err *err);

#endif
