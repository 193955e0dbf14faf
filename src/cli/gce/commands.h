/* run() of every command: one file each, named after it. */
#ifndef SALLYPORT_GCE_COMMANDS_H
#define SALLYPORT_GCE_COMMANDS_H

#include "lib/cli/cli.h"

command_f cmd_version;
command_f cmd_configure;
command_f cmd_start;
command_f cmd_start_user_endpoint;
command_f cmd_stop;
command_f cmd_restart;
command_f cmd_list;
command_f cmd_top;
command_f cmd_delete;
command_f cmd_login;
command_f cmd_logout;
command_f cmd_whoami;
command_f cmd_python_exec;
command_f cmd_render_user_config;
command_f cmd_enable_on_boot;
command_f cmd_disable_on_boot;
command_f cmd_lint;
command_f cmd_map_identity;
command_f cmd_simulate;
command_f cmd_migrate;
command_f cmd_diagnostic;

extern const struct command commands[];
extern const size_t commands_count;

/* main.c: the operand, or "default". */
const char *args_name(const struct args *a);

/* start.c and stop.c, for restart and delete: an exit code. */
int start_manager(const struct args *a, const char *epdir);
int stop_manager(const char *epdir, bool keep_children, bool *was_active);

#endif
