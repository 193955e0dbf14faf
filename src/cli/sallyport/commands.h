/* run() of every command: one file each, named after it. */
#ifndef SALLYPORT_SALLYPORT_COMMANDS_H
#define SALLYPORT_SALLYPORT_COMMANDS_H

#include "lib/cli/cli.h"

command_f cmd_audit_verify;
command_f cmd_backup;
command_f cmd_client_add;
command_f cmd_client_list;
command_f cmd_client_remove;
command_f cmd_endpoint_access;
command_f cmd_endpoint_allow;
command_f cmd_endpoint_deny;
command_f cmd_env;
command_f cmd_grant_key;
command_f cmd_grant_key_rotate;
command_f cmd_group_add;
command_f cmd_group_list;
command_f cmd_group_remove;
command_f cmd_serve;
command_f cmd_drain;
command_f cmd_endpoint_list;
command_f cmd_task_list;
command_f cmd_broker;
command_f cmd_broker_conf;
command_f cmd_restore;
command_f cmd_token_list;
command_f cmd_token_revoke;
command_f cmd_user_add;
command_f cmd_user_admin;
command_f cmd_user_disable;
command_f cmd_user_link;
command_f cmd_user_list;
command_f cmd_user_passwd;
command_f cmd_user_remove;
command_f cmd_version;

extern const struct command commands[];
extern const size_t commands_count;

/* main.c: the folder of the service: --data, or SALLYPORT_DATA, or /var/lib/sallyport. */
const char *args_data(const struct args *a);
#define OPTION_DATA                                                                                \
    {                                                                                              \
        "--data", 'd', OPTION_TEXT, "DIR",                                                         \
            "The service's folder  [SALLYPORT_DATA, else /var/lib/sallyport]"                      \
    }

#endif
