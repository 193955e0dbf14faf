/* configure: a new endpoint directory, in today's form or the seed's (spec: cli.md 4). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "cli/gce/commands.h"
#include "cli/gce/epdir.h"
#include "cli/gce/epname.h"
#include "cli/gce/policy.h"
#include "cli/gce/profile.h"
#include "lib/base/alloc.h"
#include "lib/base/uuid.h"
#include "lib/config/privilege.h"

static bool is_true(const char *word)
{
    static const char *const yes[] = {"1", "t", "true", "y", "yes", "on"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        if (strcasecmp(word, yes[i]) == 0)
            return true;
    return false;
}

/* The two generations of --multi-user (spec: cli.md 4.1). */
static void choose_form(const struct args *a, struct profile *p)
{
    const char *word = args_get(a, "--multi-user");
    p->seed_form = word && strcmp(word, CLI_NO_WORD) == 0;
    p->mapping = p->seed_form || (word ? is_true(word) : privilege_any());
}

static const char *source(const struct args *a)
{
    const char *core = args_get(a, "--core-config");
    const char *manager = args_get(a, "--manager-config");
    const char *endpoint = args_get(a, "--endpoint-config");
    if (manager)
        fprintf(stderr, "DeprecationWarning: The option 'manager_config' is deprecated. Use "
                        "--core-config instead.\n");
    if (manager && core)
        fprintf(stderr, "DeprecationWarning: --manager-config is deprecated and will be ignored\n");
    return core ? core : manager ? manager : endpoint;
}

static int check(const struct args *a, const struct profile *p, const char *name)
{
    char id[UUID_TEXT];
    struct err err = ERR_INIT;
    bool creates = policy_is_wanted(a);
    bool mfa = args_has(a, "--auth-policy-mfa-required");
    if (uuid_parse(name, id))
        return usage(a->command,
                     "Invalid value for '[NAME]': 'globus-compute-endpoint configure' requires an "
                     "endpoint name that is not a UUID (got: '%s')",
                     name);
    if (epname_check(name, &err) < 0)
        return fail("%s", err.text);
    if (p->mapping && !p->seed_form && !(p->email && *p->email))
        return fail("Email must be specified via --contact-email for multi-user endpoints");
    if (p->idmap_source && !p->mapping)
        return fail("--id-mapping-config requires multi user support (hint: --multi-user true)");
    if (creates && p->policy)
        return fail("Cannot specify an existing auth policy and create a new one at the same time");
    if (p->high_assurance && !(p->subscription && (p->policy || creates)))
        return fail("High Assurance(HA) endpoints require both a HA policy and a HA subscription "
                    "id");
    if (mfa && !creates)
        return fail("MFA may only be specified when creating a policy");
    if (mfa && !p->high_assurance)
        return fail("MFA may only be enabled for High Assurance(HA) policies");
    return 0;
}

/* With "exact" text: the documents of sites quote it. */
static void tell(const struct profile *p, const char *name)
{
    printf("Created %sprofile for endpoint named <%s>\n\n", p->seed_form ? "multi-user " : "",
           name);
    printf("\tConfiguration file: %s/config.yaml\n\n", p->epdir);
    if (p->mapping)
        printf("\t%s mapping configuration: %s/%s\n\n",
               p->seed_form ? "Example identity" : "Identity", p->epdir, profile_idmap_name(p));
    printf("\tUser endpoint configuration template: %s/%s\n", p->epdir, profile_template_name(p));
    printf("\tUser endpoint configuration schema: %s/user_config_schema.json\n", p->epdir);
    printf("\tUser endpoint environment variables: %s/user_environment.yaml\n\n", p->epdir);
    printf("Use the `start` subcommand to run it:\n\n\t$ globus-compute-endpoint start %s\n", name);
}

static int create(const struct args *a, struct profile *p, const char *name)
{
    struct stat st;
    struct err err = ERR_INIT;
    autofree char *policy = NULL;
    if (stat(p->epdir, &st) == 0) {
        printf("%s\nconfig dir <%s> already exists\n", p->epdir, name);
        return fail("ConfigExists");
    }
    if (policy_is_wanted(a)) {
        int rc = policy_create(a, p->high_assurance, &policy);
        if (rc != 0)
            return rc < 0 ? 0 : rc;
        p->policy = policy;
    }
    if (profile_create(p, &err) < 0)
        return fail("%s", err.text);
    tell(p, name);
    return 0;
}

int cmd_configure(const struct args *a)
{
    const char *name = args_name(a);
    struct profile p = {
        .high_assurance = args_has(a, "--high-assurance"),
        .display_name = args_get(a, "--display-name"),
        .email = args_get(a, "--contact-email"),
        .policy = args_get(a, "--auth-policy"),
        .subscription = args_get(a, "--subscription-id"),
        .config_source = source(a),
        .template_source = args_get(a, "--template-config"),
        .schema_source = args_get(a, "--schema-config"),
        .environment_source = args_get(a, "--user-env-config"),
        .idmap_source = args_get(a, "--id-mapping-config"),
    };
    choose_form(a, &p);
    autofree char *epdir = xasprintf("%s/%s", epdir_base(), name);
    p.epdir = epdir;
    int rc = check(a, &p, name);
    return rc ? rc : create(a, &p, name);
}
