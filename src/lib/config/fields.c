/* The table of keys, and the lax conversions of the original (spec: config.md 2.1).
 *
 * Ours sit in one mapping, `sallyport:`, so that the keys of the original stay what they are:
 *
 *     sallyport:
 *       minimum_uid: 1000           # default: UID_MIN of /etc/login.defs
 *       required_group: hpcusers
 *       deny_users: [guest]
 *       allow_nologin_shells: false
 *       no_new_privs: true          # false where sbatch or qsub is a setuid program
 *       max_user_endpoints: 0       # 0 = no limit
 *       max_user_endpoints_per_user: 0
 *       max_starts_per_user_per_minute: 600 # 0 = no limit
 *       minimum_free_memory_mib: 64 # less available memory: starts are refused; 0 = any
 *       survives_manager: true      # user endpoints outlive a manager that crashes
 *       pam_environment: false      # variables that PAM modules set reach the user endpoint
 *       audit_hash_chain: false
 *       user_endpoint_executable: /opt/site/bin/globus-compute-endpoint
 *       listener_user: nobody
 *       grant_key: BASE64           # only start commands signed by this key's owner count */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/alloc.h"
#include "lib/base/uuid.h"
#include "lib/config/private.h"

#define AT(member) offsetof(struct config, member)

const struct field config_fields[] = {
    {"display_name", FIELD_TEXT, GROUP_BASE, AT(display_name), .can_be_null = true,
     .template_sees = true},
    {"allowed_functions", FIELD_IDS, GROUP_BASE, AT(allowed_functions), .can_be_null = true,
     .template_sees = true},
    {"authentication_policy", FIELD_ID, GROUP_BASE, AT(authentication_policy), .can_be_null = true,
     .template_sees = true},
    {"subscription_id", FIELD_ID, GROUP_BASE, AT(subscription_id), .can_be_null = true,
     .template_sees = true},
    {"admins", FIELD_IDS, GROUP_BASE, AT(admins), .can_be_null = true, .template_sees = true},
    {"amqp_port", FIELD_INT, GROUP_BASE, AT(amqp_port), .can_be_null = true, .template_sees = true},
    {"heartbeat_period", FIELD_NUMBER, GROUP_BASE, AT(heartbeat_period), .template_sees = true},
    {"environment", FIELD_TEXT, GROUP_BASE, AT(environment), .can_be_null = true,
     .template_sees = true},
    {"local_compute_services", FIELD_BOOL, GROUP_BASE, AT(local_compute_services),
     .template_sees = true},
    {"debug", FIELD_BOOL, GROUP_BASE, AT(debug), .template_sees = true},
    {"high_assurance", FIELD_BOOL, GROUP_BASE, AT(high_assurance), .template_sees = true},
    {"public", FIELD_BOOL, GROUP_CORE, AT(is_public), .template_sees = true},
    {"user_config_template_path", FIELD_PATH, GROUP_CORE, AT(user_config_template_path),
     .can_be_null = true, .template_sees = true},
    {"user_config_schema_path", FIELD_PATH, GROUP_CORE, AT(user_config_schema_path),
     .can_be_null = true, .template_sees = true},
    {"identity_mapping_config_path", FIELD_PATH, GROUP_CORE, AT(identity_mapping_config_path),
     .can_be_null = true, .template_sees = true},
    {"audit_log_path", FIELD_PATH, GROUP_CORE, AT(audit_log_path), .can_be_null = true,
     .template_sees = true},
    {"pam", FIELD_PAM, GROUP_CORE, 0, .can_be_null = true},
    {"mu_child_ep_grace_period_s", FIELD_NUMBER, GROUP_CORE, AT(mu_child_ep_grace_period_s),
     .template_sees = true},
    {"email", FIELD_TEXT, GROUP_CORE, AT(email), .can_be_null = true, .template_sees = true},
    {"multi_user", FIELD_BOOL, GROUP_BASE, AT(seed_style)},
    {"force_mu_allow_same_user", FIELD_BOOL, GROUP_BASE, AT(force_mu_allow_same_user),
     .seed_only = true},
    {"detach_endpoint", FIELD_BOOL, GROUP_BASE, AT(detach_endpoint), .seed_only = true},
    {"engine", FIELD_IGNORED, GROUP_BASE, 0, .can_be_null = true},
    {"sallyport", FIELD_OURS, GROUP_BASE, 0, .can_be_null = true},

    {"minimum_uid", FIELD_INT, GROUP_OURS, AT(minimum_uid)},
    {"required_group", FIELD_TEXT, GROUP_OURS, AT(required_group), .can_be_null = true},
    {"deny_users", FIELD_NAMES, GROUP_OURS, AT(deny_users), .can_be_null = true},
    {"allow_nologin_shells", FIELD_BOOL, GROUP_OURS, AT(allow_nologin_shells)},
    {"no_new_privs", FIELD_BOOL, GROUP_OURS, AT(no_new_privs)},
    {"max_user_endpoints", FIELD_INT, GROUP_OURS, AT(max_user_endpoints)},
    {"max_user_endpoints_per_user", FIELD_INT, GROUP_OURS, AT(max_user_endpoints_per_user)},
    {"max_starts_per_user_per_minute", FIELD_INT, GROUP_OURS, AT(max_starts_per_user_per_minute)},
    {"minimum_free_memory_mib", FIELD_INT, GROUP_OURS, AT(minimum_free_memory_mib)},
    {"survives_manager", FIELD_BOOL, GROUP_OURS, AT(survives_manager)},
    {"pam_environment", FIELD_BOOL, GROUP_OURS, AT(pam_environment)},
    {"audit_hash_chain", FIELD_BOOL, GROUP_OURS, AT(audit_hash_chain)},
    {"user_endpoint_executable", FIELD_PATH, GROUP_OURS, AT(user_endpoint_executable),
     .can_be_null = true},
    {"listener_user", FIELD_TEXT, GROUP_OURS, AT(listener_user), .can_be_null = true},
    {"grant_key", FIELD_TEXT, GROUP_OURS, AT(grant_key), .can_be_null = true},
};
const size_t config_fields_count = sizeof(config_fields) / sizeof(config_fields[0]);

void config_defaults(struct config *c)
{
    c->heartbeat_period = 30;
    c->mu_child_ep_grace_period_s = 30;
    c->detach_endpoint = true;
    c->pam_service_name = xstrdup("globus-compute-endpoint");
    c->minimum_uid = -1;
    c->no_new_privs = true;
    c->max_starts_per_user_per_minute = 600;
    c->minimum_free_memory_mib = 64;
    c->survives_manager = true;
    c->warnings = json_object_new_array();
}

const struct field *field_find(const char *key, enum field_group group)
{
    for (size_t i = 0; i < config_fields_count; i++) {
        bool ours = config_fields[i].group == GROUP_OURS;
        if (ours == (group == GROUP_OURS) && strcmp(config_fields[i].key, key) == 0)
            return &config_fields[i];
    }
    return NULL;
}

/* Letters to change, insert or drop, bounded by the size of the table below. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64];
    size_t nb = strlen(b);
    if (strlen(a) >= 64 || nb >= 64)
        return 64;
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = corner + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            corner = row[j];
            row[j] = best;
        }
    }
    return row[nb];
}

const char *field_guess(const char *key, bool ours)
{
    const char *best = NULL;
    size_t least = strlen(key) / 3 + 1; /* a third of the letters may be wrong */
    for (size_t i = 0; i < config_fields_count; i++) {
        if ((config_fields[i].group == GROUP_OURS) != ours)
            continue;
        size_t d = distance(key, config_fields[i].key);
        if (d <= least) {
            best = config_fields[i].key;
            least = d - (d > 0);
        }
    }
    return best;
}

static bool to_bool(struct json_object *v, bool *out, bool *is_text)
{
    static const char *const yes[] = {"true", "yes", "on", "1", "t", "y"};
    static const char *const no[] = {"false", "no", "off", "0", "f", "n"};
    *is_text = json_object_is_type(v, json_type_string) || json_object_is_type(v, json_type_int) ||
               json_object_is_type(v, json_type_double);
    if (json_object_is_type(v, json_type_boolean)) {
        *out = json_object_get_boolean(v);
        return true;
    }
    if (json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double)) {
        double d = json_object_get_double(v);
        *out = d > 0.5;
        return d == 0.0 || d == 1.0;
    }
    for (size_t i = 0; *is_text && i < sizeof(yes) / sizeof(yes[0]); i++) {
        *out = strcasecmp(json_object_get_string(v), yes[i]) == 0;
        if (*out || strcasecmp(json_object_get_string(v), no[i]) == 0)
            return true;
    }
    return false;
}

static void take_bool(const struct field *f, bool *at, struct json_object *v, struct problems *p)
{
    bool is_text;
    bool value = false;
    if (to_bool(v, &value, &is_text))
        *at = value;
    else if (is_text)
        problem_add(p, f, f->key, "bool_parsing", v,
                    "Input should be a valid boolean, unable to interpret input");
    else
        problem_add(p, f, f->key, "bool_type", v, "Input should be a valid boolean");
}

static void take_int(const struct field *f, int64_t *at, struct json_object *v, struct problems *p)
{
    if (json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_boolean)) {
        *at = json_object_get_int64(v);
    } else if (json_object_is_type(v, json_type_double)) {
        double d = json_object_get_double(v);
        if (d != floor(d) || fabs(d) > 9e15)
            problem_add(p, f, f->key, "int_from_float", v,
                        "Input should be a valid integer, got a number with a fractional part");
        else
            *at = (int64_t)d;
    } else if (json_object_is_type(v, json_type_string)) {
        char *end;
        errno = 0;
        const char *text = json_object_get_string(v);
        long long n = strtoll(text, &end, 10);
        if (!*text || *end || errno)
            problem_add(p, f, f->key, "int_parsing", v,
                        "Input should be a valid integer, unable to parse string as an integer");
        else
            *at = n;
    } else {
        problem_add(p, f, f->key, "int_type", v, "Input should be a valid integer");
    }
}

static void take_number(const struct field *f, double *at, struct json_object *v,
                        struct problems *p)
{
    double d = NAN;
    bool is_text = json_object_is_type(v, json_type_string);
    if (json_object_is_type(v, json_type_int) || json_object_is_type(v, json_type_double) ||
        json_object_is_type(v, json_type_boolean)) {
        d = json_object_get_double(v);
    } else if (is_text) {
        char *end;
        const char *text = json_object_get_string(v);
        d = strtod(text, &end);
        if (!*text || *end || isalpha((unsigned char)text[0]))
            d = NAN;
    } else {
        problem_add(p, f, f->key, "float_type", v, "Input should be a valid number");
        return;
    }
    if (!isfinite(d)) /* infinite periods pass in the original and then never end */
        problem_add(p, f, f->key, is_text ? "float_parsing" : "finite_number", v,
                    is_text ? "Input should be a valid number, unable to parse string as a number"
                            : "Input should be a finite number");
    else
        *at = d;
}

static void take_text(const struct field *f, char **at, struct json_object *v, struct problems *p)
{
    if (!json_object_is_type(v, json_type_string)) {
        problem_add(p, f, f->key, "string_type", v, "Input should be a valid string");
        return;
    }
    const char *text = json_object_get_string(v);
    free(*at);
    *at = (f->kind == FIELD_PATH && !*text) ? NULL : xstrdup(text);
}

static void take_id(const struct field *f, char **at, struct json_object *v, struct problems *p)
{
    char id[UUID_TEXT];
    const char *text = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "x";
    if (!*text)
        return;
    if (!uuid_parse(text, id)) {
        problem_add(p, f, f->key, "uuid_parsing", v, "badly formed hexadecimal UUID string");
        return;
    }
    free(*at);
    *at = xstrdup(id);
}

static void take_list(const struct field *f, struct json_object **at, struct json_object *v,
                      struct problems *p)
{
    if (!json_object_is_type(v, json_type_array)) {
        problem_add(p, f, f->key, "list_type", v, "Input should be a valid list");
        return;
    }
    autojson struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < json_object_array_length(v); i++) {
        char id[UUID_TEXT];
        struct json_object *item = json_object_array_get_idx(v, i);
        bool is_text = json_object_is_type(item, json_type_string);
        const char *text = is_text ? json_object_get_string(item) : "";
        if (f->kind == FIELD_IDS && !uuid_parse(text, id)) {
            problem_add(p, f, f->key, "uuid_parsing", item, "badly formed hexadecimal UUID string");
            return;
        }
        if (!is_text) {
            problem_add(p, f, f->key, "string_type", item, "Input should be a valid string");
            return;
        }
        json_object_array_add(list, json_object_new_string(f->kind == FIELD_IDS ? id : text));
    }
    json_object_put(*at);
    *at = json_object_get(list);
}

/* Any mapping, even an empty one, turns PAM on; what else is in it is ignored. */
static void take_pam(struct config *c, const struct field *f, struct json_object *v,
                     struct problems *p)
{
    static const struct field enable = {"pam.enable", FIELD_BOOL, GROUP_CORE};
    static const struct field service = {"pam.service_name", FIELD_TEXT, GROUP_CORE};
    struct json_object *member;
    if (!json_object_is_type(v, json_type_object)) {
        problem_add(p, f, f->key, "dataclass_type", v,
                    "Input should be a dictionary or an instance of PamConfiguration");
        return;
    }
    c->pam_enable = true;
    if (json_object_object_get_ex(v, "enable", &member))
        take_bool(&enable, &c->pam_enable, member, p);
    if (json_object_object_get_ex(v, "service_name", &member))
        take_text(&service, &c->pam_service_name, member, p);
}

static void take_ours(struct config *c, const struct field *f, struct json_object *v,
                      struct problems *p)
{
    if (!json_object_is_type(v, json_type_object)) {
        problem_add(p, f, f->key, "dict_type", v, "Input should be a valid dictionary");
        return;
    }
    json_object_object_foreach(v, key, value)
    {
        const struct field *own = field_find(key, GROUP_OURS);
        if (own)
            field_take(c, own, value, p);
        else
            problem_add(p, NULL, key, "unexpected_keyword_argument", value,
                        "Unexpected keyword argument");
    }
}

void field_take(struct config *c, const struct field *f, struct json_object *v, struct problems *p)
{
    char *at = (char *)c + f->offset;
    if (!v && f->can_be_null)
        return;
    switch (f->kind) {
    case FIELD_BOOL:
        take_bool(f, (bool *)at, v, p);
        break;
    case FIELD_INT:
        take_int(f, (int64_t *)at, v, p);
        break;
    case FIELD_NUMBER:
        take_number(f, (double *)at, v, p);
        break;
    case FIELD_TEXT:
    case FIELD_PATH:
        take_text(f, (char **)at, v, p);
        break;
    case FIELD_ID:
        take_id(f, (char **)at, v, p);
        break;
    case FIELD_IDS:
    case FIELD_NAMES:
        take_list(f, (struct json_object **)at, v, p);
        break;
    case FIELD_PAM:
        take_pam(c, f, v, p);
        break;
    case FIELD_OURS:
        take_ours(c, f, v, p);
        break;
    case FIELD_IGNORED:
        break;
    }
}
