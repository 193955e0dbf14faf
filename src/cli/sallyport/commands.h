/* run() of every command: one file each, named after it. */
#ifndef SALLYPORT_CLI_COMMANDS_H
#define SALLYPORT_CLI_COMMANDS_H

#include "cli/sallyport/command.h"

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
command_f cmd_broker;
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

#endif
