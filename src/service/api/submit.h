/* A submit on its way: what its body said (submit_read.c), what was found for it (submit.c). */
#ifndef SALLYPORT_SERVICE_SUBMIT_H
#define SALLYPORT_SERVICE_SUBMIT_H

#include "service/api/private.h"

#define SUBMIT_FUNCTIONS_MAX 1000

struct submit_function {
    const char *spelled; /* as the client wrote it: the answer repeats it */
    char id[UUID_TEXT];
    size_t count;
    struct function *row;
};

struct submit_task {
    char id[UUID_TEXT];
    size_t function;  /* index */
    const char *args; /* in the request's JSON */
    size_t args_len;
    char file[65]; /* "" or the name of its file */
};

struct submit {
    char endpoint_id[UUID_TEXT], group_id[UUID_TEXT];
    bool create_queue;
    struct json_object *config, *runtime; /* borrowed from the request's JSON */
    char *opts; /* {"resource_specification":…, "result_serializers":[…]} or NULL */
    struct submit_function *functions;
    size_t n_functions;
    struct submit_task *tasks; /* function by function */
    size_t n_tasks;
    /* found */
    struct endpoint *endpoint;
    struct group *group;
    bool new_group;
    struct uep *uep;
    char uep_id[UUID_TEXT];
    char *uep_text;
    uint64_t began_us;
    uint64_t accept_by_us; /* of the system's clock */
    int64_t accepted_us;
    void (*reply)(struct call *c); /* another form of the answer; NULL = v3's */
};

/* Fills s from the body; false: the error was sent and the call has ended. */
bool submit_read(struct call *c, struct submit *s);
/* Whether a payload begins like packed buffers do. */
bool submit_is_packed(const char *s);
void submit_free(void *s);
void submit_go(struct call *c);

#endif
