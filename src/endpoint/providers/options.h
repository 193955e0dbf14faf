/* The mapping of a provider's options: checked against the kind's table, completed with defaults.
 *
 * The original annotates some providers (Slurm, Condor, Kubernetes) and is strict there; the others
 * take anything, so "2" is accepted where a number is meant. */
#ifndef SALLYPORT_ENDPOINT_OPTIONS_H
#define SALLYPORT_ENDPOINT_OPTIONS_H

#include "endpoint/providers/provider.h"

int options_check(const struct provider_kind *k, struct json_object *options, struct err *err);
/* New tree: nulls dropped, loose values converted, defaults added. */
struct json_object *options_complete(const struct provider_kind *k, struct json_object *options);

#endif
