/* How many descriptors a process may have: many for ourselves, what they were given for others. */
#ifndef SALLYPORT_BASE_DESCRIPTORS_H
#define SALLYPORT_BASE_DESCRIPTORS_H

/* The soft limit becomes the hard one (at most 65 536); -1 with errno when that is refused. */
int descriptors_raise(void);
/* What it was before descriptors_raise(): for a child before its exec.  Safe between fork and exec.
 */
void descriptors_restore(void);

#endif
