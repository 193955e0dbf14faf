/* run() of every command: one file each, named after it. */
#ifndef SALLYPORT_CLI_COMMANDS_H
#define SALLYPORT_CLI_COMMANDS_H

#include "cli/sallyport/command.h"

command_f cmd_serve;
command_f cmd_version;

#endif
