/* Renders in a child process under limits, so that whatever a template does to the engine is an
 * ordinary failure of this one: processor time, memory, wall time, a stack that ran over. */
#ifndef SALLYPORT_PREPARE_RENDERER_H
#define SALLYPORT_PREPARE_RENDERER_H

#include "lib/render/render.h"

/* As render_user_config(). */
int renderer_run(const struct render_input *in, struct buf *out, struct json_object **warnings,
                 struct render_error *err);

#endif
