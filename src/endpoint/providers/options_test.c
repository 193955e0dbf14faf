/* Walltimes and the types of options, as tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "endpoint/providers/provider.h"

static void walltimes(void **state)
{
    static const struct {
        const char *json;
        int64_t seconds, minutes;
    } rows[] = {
        {"3600", 3600, 60},
        {"600", 600, 10},
        {"0", 0, 1},
        {"61", 61, 2},
        {"\"01:00:00\"", 3600, 60},
        {"\"1:00:00\"", 3600, 60},
        {"\"00:00:30\"", 30, 1},
        {"\"00:01:01\"", 61, 2},
        {"\"48:00:00\"", 172800, 2880},
        {"\"10:00\"", 600, 10},
        {"\"90\"", 5400, 90},
        {"\"2-12:00:00\"", 216000, 3600},
        {"\"1-02\"", 93600, 1560},
        {"\"1-02:30\"", 95400, 1590},
        {"-5", -1, 0},
        {"\"\"", -1, 0},
        {"\"soon\"", -1, 0},
        {"\"1:2:3:4\"", -1, 0},
        {"\"-1:00:00\"", -1, 0},
        {"\"1:00:00 \"", -1, 0},
        {"\"1::00\"", -1, 0},
        {"\"+1:00\"", -1, 0},
        {"\"99999999999999999999\"", -1, 0},
        {"1.5", -1, 0},
        {"true", -1, 0},
        {"\"-\"", -1, 0},
        {"\"1-\"", -1, 0},
        {"\"1:\"", -1, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        autojson struct json_object *v = json_tokener_parse(rows[i].json);
        struct err err = ERR_INIT;
        int64_t got = walltime_seconds(v, &err);
        if (got != rows[i].seconds)
            fail_msg("%s gives %lld", rows[i].json, (long long)got);
        if (got >= 0)
            assert_int_equal(walltime_minutes(v), rows[i].minutes);
        else
            assert_non_null(strstr(err.text, "is not a duration"));
    }
}

/* options; a part of the refusal, or NULL = accepted */
static const struct {
    const char *json, *refusal;
} rows[] = {
    {"{\"type\": \"SlurmProvider\"}", NULL},
    {"{\"type\": \"SlurmProvider\", \"partition\": null, \"launcher\": null}", NULL},
    {"{\"type\": \"SlurmProvider\", \"nodes_per_block\": \"2\"}",
     "nodes_per_block must be a whole"},
    {"{\"type\": \"SlurmProvider\", \"nodes_per_block\": 2.0}", "nodes_per_block must be a whole"},
    {"{\"type\": \"SlurmProvider\", \"account\": 7}", "account must be text"},
    {"{\"type\": \"SlurmProvider\", \"exclusive\": 1}", "exclusive must be true or false"},
    {"{\"type\": \"SlurmProvider\", \"parallelism\": 1}", NULL},
    {"{\"type\": \"SlurmProvider\", \"parallelism\": \"1\"}", "parallelism must be a number"},
    {"{\"type\": \"SlurmProvider\", \"walltime\": 3600}", NULL},
    {"{\"type\": \"SlurmProvider\", \"walltime\": \"soon\"}", "SlurmProvider: walltime \"soon\""},
    {"{\"type\": \"SlurmProvider\", \"walltime\": true}", "walltime must be a duration"},
    {"{\"type\": \"SlurmProvider\", \"queue\": \"q\"}", "does not know the option queue"},
    {"{\"type\": \"SlurmProvider\", \"partition\": \"a\\n#SBATCH --x\"}", "must be one line"},
    {"{\"type\": \"SlurmProvider\", \"partition\": \"a\\n\"}", NULL},
    {"{\"type\": \"SlurmProvider\", \"nodes_per_block\": 0}", "must be 1 or more"},
    {"{\"type\": \"SlurmProvider\", \"max_blocks\": -1}", "must be 0 or more"},
    {"{\"type\": \"SlurmProvider\", \"launcher\": \"SrunLauncher\"}", "launcher must be a mapping"},
    {"{\"type\": \"SlurmProvider\", \"launcher\": {\"type\": \"Srun\"}}", "SrunMPILauncher"},
    {"{\"type\": \"SlurmProvider\", \"launcher\": {\"type\": \"SrunLauncher\", \"x\": 1}}",
     "does not know the option x"},
    {"{\"type\": \"SlurmProvider\", \"launcher\": {\"type\": \"WrappedLauncher\"}}", "prepend"},
    {"{\"type\": \"PBSProProvider\", \"nodes_per_block\": \"2\", \"cpus_per_node\": \"8\"}", NULL},
    {"{\"type\": \"PBSProProvider\", \"nodes_per_block\": \"two\"}", "nodes_per_block must be"},
    {"{\"type\": \"PBSProProvider\", \"account\": 7, \"walltime\": 3600}", NULL},
    {"{\"type\": \"PBSProProvider\", \"ppn\": 7}", "does not know the option ppn"},
    {"{\"type\": \"TorqueProvider\", \"select_options\": \"x\"}", "does not know the option"},
    {"{\"type\": \"GridEngineProvider\", \"walltime\": \"INFINITY\"}", NULL},
    {"{\"type\": \"LSFProvider\", \"request_by_nodes\": false}",
     "cores_per_block and cores_per_node"},
    {"{\"type\": \"LSFProvider\", \"request_by_nodes\": false, \"cores_per_block\": 9, "
     "\"cores_per_node\": 4}",
     NULL},
    {"{\"type\": \"CondorProvider\", \"mem_per_slot\": 4}", NULL},
    {"{\"type\": \"CondorProvider\", \"environment\": {\"A\": 1}}",
     "environment must be a mapping"},
    {"{\"type\": \"CondorProvider\", \"transfer_input_files\": \"a\"}", "must be a list of texts"},
    {"{\"type\": \"CondorProvider\", \"cores_per_node\": 4}", "does not know the option"},
    {"{\"type\": \"CobaltProvider\", \"queue\": \"debug\"}", NULL},
    {"{\"type\": \"KubernetesProvider\"}", "image is missing"},
    {"{\"type\": \"KubernetesProvider\", \"image\": \"i\", \"walltime\": \"1:00:00\"}",
     "does not know the option walltime"},
    {"{\"type\": \"KubernetesProvider\", \"image\": \"i\", \"launcher\": {\"type\": "
     "\"SimpleLauncher\"}}",
     "does not know the option launcher"},
    {"{\"type\": \"KubernetesProvider\", \"image\": \"i\", \"persistent_volumes\": [[\"a\", "
     "\"/b\"]]}",
     NULL},
    {"{\"type\": \"KubernetesProvider\", \"image\": \"i\", \"persistent_volumes\": [\"a\"]}",
     "list of pairs"},
    {"{\"type\": \"LocalProvider\", \"walltime\": 3}", "does not know the option walltime"},
    {"{\"type\": \"LocalProvider\", \"max_blocks\": \"4\"}", NULL},
    {"{\"type\": \"AWSProvider\", \"image_id\": \"x\"}", "optional modules ['boto3']"},
    {"{\"type\": \"GoogleCloudProvider\"}", "optional modules"},
    {"{\"type\": \"AzureProvider\"}", "optional modules"},
    {"{\"type\": \"Slurm\"}", "known are LocalProvider, SlurmProvider"},
    {"[]", "provider must be a mapping"},
};

static void types(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        autojson struct json_object *o = json_tokener_parse(rows[i].json);
        struct err err = ERR_INIT;
        int rc = provider_check(o, &err);
        if (rows[i].refusal == NULL && rc != 0)
            fail_msg("%s was refused: %s", rows[i].json, err.text);
        if (rows[i].refusal != NULL && (rc == 0 || strstr(err.text, rows[i].refusal) == NULL))
            fail_msg("%s: \"%s\" lacks \"%s\"", rows[i].json, err.text, rows[i].refusal);
    }
}

static void defaults(void **state)
{
    static const struct {
        const char *json, *key;
        int64_t value;
    } wanted[] = {
        {"{\"type\": \"SlurmProvider\"}", "max_blocks", 1},
        {"{\"type\": \"KubernetesProvider\", \"image\": \"i\"}", "max_blocks", 10},
        {"{\"type\": \"KubernetesProvider\", \"image\": \"i\"}", "init_blocks", 4},
        {"{\"type\": \"PBSProProvider\", \"nodes_per_block\": \"3\"}", "nodes_per_block", 3},
        {"{\"type\": \"LSFProvider\", \"request_by_nodes\": false, \"cores_per_block\": 9, "
         "\"cores_per_node\": 4}",
         "nodes_per_block", 3},
        {"{\"type\": \"CondorProvider\", \"cores_per_slot\": 6}", "cores_per_node", 6},
        {"{\"type\": \"CobaltProvider\"}", "init_blocks", 0},
        {"{\"type\": \"SlurmProvider\"}", "cores_per_node", 0},
        {"{\"type\": \"Nothing\"}", "max_blocks", 0},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        autojson struct json_object *o = json_tokener_parse(wanted[i].json);
        assert_int_equal(provider_default_int(o, wanted[i].key), wanted[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walltimes),
        cmocka_unit_test(types),
        cmocka_unit_test(defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
