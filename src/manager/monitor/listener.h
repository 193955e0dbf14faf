/* The listener as the monitor sees it: a program that is started, talked to by table.h alone, and
 * started again when it dies. */
#ifndef SALLYPORT_MANAGER_MONITOR_LISTENER_H
#define SALLYPORT_MANAGER_MONITOR_LISTENER_H

#include "manager/monitor/monitor.h"

struct listener;

struct listener *listener_create(struct monitor *m);
void listener_destroy(struct listener *l); /* kills it; NULL is fine */
/* Which of the listeners this is; answers to an earlier one's requests are dropped. */
unsigned listener_generation(const struct listener *l);
void listener_answer(struct listener *l, unsigned generation, const struct table_message *m);
/* Tells it something that it did not ask for. */
void listener_tell(struct listener *l, const struct table_message *m);
/* Opens the file anew and sends it. */
void listener_send_file(struct listener *l, enum table_file which);
/* There may be room for requests again; NULL is fine. */
void listener_resume(struct listener *l);
/* STOP; from now on its end is expected. */
void listener_stop(struct listener *l);
bool listener_is_gone(const struct listener *l);

#endif
