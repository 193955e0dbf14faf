/* libexec/sallyport/own-address URL SECONDS: the body of what that server answers, on standard
 * output. For the address type address_by_query; started by the user endpoint only, as the user. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/http/http.h"

#define BODY_MAX 200

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct http_response answer = {.status = 0};
    if (argc != 3 || atoi(argv[2]) < 1) {
        fputs("Usage: own-address URL SECONDS\n", stderr);
        return 2;
    }
    setenv("GLOBUS_SDK_HTTP_TIMEOUT", argv[2], 1);
    alarm((unsigned)atoi(argv[2]) + 1); /* whatever the library waits for */
    struct http *h = http_create("sallyport");
    int rc = http_send(h, &(struct http_request){.method = "GET", .url = argv[1], .tries = 1},
                       &answer, &err);
    if (rc != 0)
        fprintf(stderr, "own-address: %s\n", err.text);
    else if (answer.status != 200)
        fprintf(stderr, "own-address: %s answers with HTTP status %d\n", argv[1], answer.status);
    else if (answer.body.len > BODY_MAX)
        fprintf(stderr, "own-address: %s answers with more than an address\n", argv[1]);
    bool good = rc == 0 && answer.status == 200 && answer.body.len <= BODY_MAX;
    if (good && answer.body.len > 0)
        good = fwrite(answer.body.data, answer.body.len, 1, stdout) == 1 && fflush(stdout) == 0;
    http_response_free(&answer);
    http_destroy(h);
    return good ? 0 : 1;
}
