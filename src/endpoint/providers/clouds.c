/* The providers of virtual machines.  Their names are known, so that a template that uses one gets
 * the original's kind of answer: this endpoint does not drive clouds. */
#include "endpoint/providers/provider.h"

static int refuse(struct err *err, const char *type, const char *modules, const char *reason)
{
    return err_set(err,
                   "provider %s: The functionality requested requires optional modules %s which "
                   "could not be imported, because: %s; this endpoint starts no virtual machines, "
                   "use the provider of the batch system inside the cloud or LocalProvider on a "
                   "machine there",
                   type, modules, reason);
}

static int refuse_aws(struct json_object *options, struct err *err)
{
    return refuse(err, "AWSProvider", "['boto3']", "AWS Provider requires the boto3 module.");
}

static int refuse_google(struct json_object *options, struct err *err)
{
    return refuse(err, "GoogleCloudProvider", "['google-api-python-client']",
                  "Google Cloud Provider requires the google-api-python-client module.");
}

static int refuse_azure(struct json_object *options, struct err *err)
{
    return refuse(err, "AzureProvider", "['azure', 'msrestazure']",
                  "Azure Provider requires the azure module.");
}

const struct provider_kind provider_aws = {.type = "AWSProvider", .check = refuse_aws};
const struct provider_kind provider_google_cloud = {.type = "GoogleCloudProvider",
                                                    .check = refuse_google};
const struct provider_kind provider_azure = {.type = "AzureProvider", .check = refuse_azure};
