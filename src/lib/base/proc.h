/* What the kernel says about a process, and about the host. */
#ifndef SALLYPORT_BASE_PROC_H
#define SALLYPORT_BASE_PROC_H

#include <stdint.h>
#include <sys/types.h>

/* Clock ticks after the boot at which the process began; 0 = it is gone, or a zombie.  With its
 * number this names a process for as long as the host is up. */
uint64_t proc_start_time(pid_t pid);
/* The id of this boot of the host, without the line's end; "" when the kernel tells none. */
#define PROC_BOOT_ID 64
void proc_boot_id(char out[PROC_BOOT_ID]);
/* What programs can still have of the host's memory (MemAvailable); -1 = unknown. */
int64_t proc_memory_kib(void);
/* The same to one decimal, as endpoints tell it; 0 = unknown. */
double proc_memory_gib(void);

#endif
