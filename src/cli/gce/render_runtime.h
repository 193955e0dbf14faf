/* `user_runtime` of this machine, for templates that are tried out. */
#ifndef SALLYPORT_GCE_RENDER_RUNTIME_H
#define SALLYPORT_GCE_RENDER_RUNTIME_H

#include "lib/base/json.h"

/* What an SDK that runs here would send along; without a Python, the parts that need none. */
struct json_object *render_runtime(void);

#endif
