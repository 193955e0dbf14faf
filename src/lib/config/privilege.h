/* Is this process privileged, in the original's sense (spec: endpoint-manager.md 2.2)? */
#ifndef SALLYPORT_CONFIG_PRIVILEGE_H
#define SALLYPORT_CONFIG_PRIVILEGE_H

#include <stdbool.h>

/* uid 0, account `root`, or any effective capability of the long list. */
bool privilege_any(void);
/* uid 0, account `root`, or an effective capability that lets it become somebody else. */
bool privilege_change_user(void);

#endif
