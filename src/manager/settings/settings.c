/* config.yaml on descriptor 0, one `struct table_settings` on descriptor 1.
 *
 * The monitor runs this once, before any listener, as an account without rights: what root obeys
 * comes from a program that never saw the network, and root itself parses no YAML. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/config/config.h"
#include "manager/table.h"

/* False: it doesn't fit. */
static bool put(char *to, size_t size, const char *text)
{
    size_t n = text ? strlen(text) : 0;
    if (n >= size)
        return false;
    memcpy(to, n ? text : "", n);
    to[n] = '\0';
    return true;
}
#define PUT(member, text) put(s->member, sizeof(s->member), text)

static int too_long(struct table_settings *s, const char *key)
{
    snprintf(s->problem, sizeof(s->problem), "config.yaml: the value of `%s` is too long", key);
    return -1;
}

/* The names one after the other, each with its NUL, an empty one behind the last. */
static int put_names(struct table_settings *s, struct json_object *list)
{
    size_t used = 0;
    size_t n = list ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < n; i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(list, i));
        if (!name || !*name)
            continue;
        if (used + strlen(name) + 2 > sizeof(s->deny_users))
            return too_long(s, "sallyport.deny_users");
        strcpy(s->deny_users + used, name);
        used += strlen(name) + 1;
    }
    s->deny_users[used] = '\0';
    return 0;
}

static int put_texts(struct table_settings *s, const struct config *c)
{
    if (!PUT(pam_service_name, c->pam_service_name))
        return too_long(s, "pam.service_name");
    if (!PUT(required_group, c->required_group))
        return too_long(s, "sallyport.required_group");
    if (!PUT(listener_user, c->listener_user))
        return too_long(s, "sallyport.listener_user");
    if (!PUT(template_path, c->user_config_template_path))
        return too_long(s, "user_config_template_path");
    if (!PUT(schema_path, c->user_config_schema_path))
        return too_long(s, "user_config_schema_path");
    if (!PUT(mapping_path, c->identity_mapping_config_path))
        return too_long(s, "identity_mapping_config_path");
    if (!PUT(audit_log_path, c->audit_log_path))
        return too_long(s, "audit_log_path");
    if (!PUT(user_endpoint_executable, c->user_endpoint_executable))
        return too_long(s, "sallyport.user_endpoint_executable");
    /* For texts only: cut rather than refused. */
    snprintf(s->display_name, sizeof(s->display_name), "%s",
             c->display_name ? c->display_name : "");
    snprintf(s->environment, sizeof(s->environment), "%s", c->environment ? c->environment : "");
    return put_names(s, c->deny_users);
}

static void fill(struct table_settings *s, const struct config *c)
{
    s->seed_style = c->seed_style;
    s->debug = c->debug;
    s->high_assurance = c->high_assurance;
    s->has_mapping = c->identity_mapping_config_path != NULL;
    s->pam_enable = c->pam_enable;
    s->allow_nologin_shells = c->allow_nologin_shells;
    s->no_new_privs = c->no_new_privs;
    s->force_same_user = c->force_mu_allow_same_user;
    s->survives_manager = c->survives_manager;
    s->audit_hash_chain = c->audit_hash_chain;
    s->heartbeat_period_s = c->heartbeat_period;
    s->grace_period_s = c->mu_child_ep_grace_period_s;
    s->minimum_uid = c->minimum_uid < 0 ? -1 : c->minimum_uid;
    s->max_user_endpoints = c->max_user_endpoints;
    s->max_user_endpoints_per_user = c->max_user_endpoints_per_user;
    s->max_starts_per_user_per_minute = c->max_starts_per_user_per_minute;
    s->minimum_free_memory_mib = c->minimum_free_memory_mib;
}

static void read_config(struct table_settings *s)
{
    struct err err = ERR_INIT;
    autobuf struct buf text = BUF_INIT, report = BUF_INIT;
    struct config *c = NULL;
    if (fs_read_fd(STDIN_FILENO, CONFIG_SIZE_MAX, "config.yaml", &text, &err) == 0)
        c = config_parse(text.data ? text.data : "", text.len, "config.yaml", &report, &err);
    if (!c)
        snprintf(s->problem, sizeof(s->problem), "%s", report.len ? report.data : err.text);
    else if (c->has_engine)
        snprintf(s->problem, sizeof(s->problem),
                 "config.yaml contains an `engine` field; endpoint will not start");
    else if (put_texts(s, c) == 0)
        fill(s, c);
    config_free(c);
    if (!s->problem[0] && !table_settings_are_good(s))
        snprintf(s->problem, sizeof(s->problem),
                 "config.yaml: a number is out of its range (limits must not be negative)");
}

int main(void)
{
    static struct table_settings s = {.version = TABLE_VERSION};
    read_config(&s);
    return fs_write_all(STDOUT_FILENO, &s, sizeof(s)) == 0 ? 0 : 1;
}
