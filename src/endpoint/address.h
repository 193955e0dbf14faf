/* Addresses under which node agents may reach this host (spec: engines.md section 4). */
#ifndef SALLYPORT_ENDPOINT_ADDRESS_H
#define SALLYPORT_ENDPOINT_ADDRESS_H

#include "lib/base/err.h"
#include "lib/base/json.h"

/* spec: the engine's `address`: text, or {"type": "address_by_interface", "ifname": ...}.  The
 * address (caller frees), or NULL with a sentence that names what is wrong. */
char *address_resolve(struct json_object *spec, struct err *err);
/* Every address that this host knows of itself: comma-separated; caller frees.  Nobody outside is
 * asked. */
char *address_all(void);

#endif
