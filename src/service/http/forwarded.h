/* X-Forwarded-For: whom a proxy speaks for.  Every proxy writes the address that it saw behind what
 * it was given, so the list is read from its end, and only as far as those are that we believe. */
#ifndef SALLYPORT_SERVICE_FORWARDED_H
#define SALLYPORT_SERVICE_FORWARDED_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#define FORWARDED_ADDRESS INET6_ADDRSTRLEN

/* "192.0.2.1", "192.0.2.1:5000", "2001:db8::1", "[2001:db8::1]:5000" with spaces around; out has
 * the address in its usual form, without the port.  False: it is none. */
bool forwarded_address(const char *text, size_t n, char out[FORWARDED_ADDRESS]);

/* The last address of the list that is not a proxy's; the first one when all are.  What is not an
 * address ends the search.  False: there is none; the sender is then whom the request is from. */
bool forwarded_client(const char *list, bool (*is_proxy)(void *arg, const char *address), void *arg,
                      char out[FORWARDED_ADDRESS]);

#endif
