/* GET /openapi.yaml: the description of this interface, inside the program. */
#include "service/api/private.h"

/* Made from openapi.yaml by tools/embed. */
extern const char openapi_yaml[];
extern const size_t openapi_yaml_size;

void on_openapi(struct req *r)
{
    reply_header(r, "Cache-Control", "max-age=3600");
    reply_text(r, 200, "application/yaml", openapi_yaml, openapi_yaml_size);
}
