/* Fuzz target: the body of a command, through all checks and into the blob for the monitor. */
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "manager/listener/command.h"
#include "manager/listener/compose.h"

#define NOW 1700000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct site site;
    static const struct compose_person person = {.account = "alice", .key = "k"};
    struct command_fault f = COMMAND_FAULT_INIT;
    struct err err = ERR_INIT;
    if (!site.config)
        site.config = config_parse("", 0, "config.yaml", NULL, &err);
    struct command_message m = {
        .content_type = "application/json", .timestamp = NOW, .body = data, .body_len = size};
    struct command *c = command_read(&m, NOW, &f);
    if (c && command_check(c, &f) == 0) {
        char line[256];
        compose_command_line(c, line, sizeof(line));
        int fd = compose_blob(&site, c, &person, &err);
        if (fd >= 0)
            close(fd);
    }
    if (c) {
        command_id_lines(c, &f.log);
        command_general_fault(c, "fuzz", &f);
        command_is_from_old_sdk(c);
    }
    command_fault_clear(&f);
    command_drop(c);
    return 0;
}
