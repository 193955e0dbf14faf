/* Labelled points at which a test kills the service.
 *
 *   submit-stored      the ledger has the tasks; nobody has been told, nothing was published
 *   submit-answered    the answer is on its way; nothing was published
 *   task-published     a task is with the broker, its confirm has not come
 *   task-confirmed     the broker has it, the ledger does not know
 *   start-published    a start command is with the broker
 *   check-in           a user endpoint reported for the first time; its tasks still wait
 *   result-stored      the ledger has results; streams have not, nothing is acknowledged
 *   result-streamed    the stream has it; the message is not acknowledged
 *
 * The service itself has a function that does nothing; the one for tests dies when
 * SALLYPORT_TEST_CRASH is "LABEL:N" and the label is reached for the Nth time. */
#ifndef SALLYPORT_SERVICE_FAULT_H
#define SALLYPORT_SERVICE_FAULT_H

void fault_point(const char *label);

#endif
