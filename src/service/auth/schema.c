/* Tables of sign-in in the ledger. */
#include "service/store/migrations.h"

/* Times are seconds since 1970.  Secrets are hashes (secret.h, password.h), never the thing itself.
 *
 * auth_identities  who somebody is; those with one set_id are one person
 * auth_clients     programs: native ones (public) and confidential ones (with a secret)
 * auth_tokens      access and refresh tokens; family = one sign-in: revoked as a whole
 * auth_codes       authorization codes; a used one stays until it expires, to see it used twice
 * auth_sessions    browsers that are signed in
 * auth_flows       sign-ins that wait for another provider's answer
 * auth_projects, auth_policies   what `configure --auth-policy` makes */
const struct migration auth_migrations[] = {
    {.name = "auth-1",
     .sql = "CREATE TABLE auth_identities ("
            " id TEXT PRIMARY KEY, set_id TEXT NOT NULL, kind TEXT NOT NULL,"
            " username TEXT NOT NULL UNIQUE, name TEXT NOT NULL, email TEXT NOT NULL,"
            " organization TEXT NOT NULL, source TEXT NOT NULL, subject TEXT NOT NULL,"
            " provider_name TEXT NOT NULL, password TEXT, is_admin BIGINT NOT NULL,"
            " disabled BIGINT NOT NULL, created BIGINT NOT NULL, last_auth BIGINT NOT NULL,"
            " UNIQUE (source, subject));"
            "CREATE INDEX auth_identities_set ON auth_identities (set_id);"
            "CREATE TABLE auth_clients ("
            " id TEXT PRIMARY KEY, name TEXT NOT NULL, secret TEXT, redirect_uris TEXT NOT NULL,"
            " disabled BIGINT NOT NULL, created BIGINT NOT NULL);"
            "CREATE TABLE auth_tokens ("
            " hash TEXT PRIMARY KEY, kind TEXT NOT NULL, family TEXT NOT NULL,"
            " identity TEXT NOT NULL, client TEXT NOT NULL, server TEXT NOT NULL,"
            " scope TEXT NOT NULL, session TEXT NOT NULL, issued BIGINT NOT NULL,"
            " expires BIGINT NOT NULL, used BIGINT NOT NULL);"
            "CREATE INDEX auth_tokens_family ON auth_tokens (family);"
            "CREATE INDEX auth_tokens_identity ON auth_tokens (identity);"
            "CREATE INDEX auth_tokens_expires ON auth_tokens (expires);"
            "CREATE TABLE auth_codes ("
            " hash TEXT PRIMARY KEY, family TEXT NOT NULL, identity TEXT NOT NULL,"
            " client TEXT NOT NULL, redirect_uri TEXT NOT NULL, challenge TEXT NOT NULL,"
            " scope TEXT NOT NULL, nonce TEXT NOT NULL, session TEXT NOT NULL,"
            " offline BIGINT NOT NULL, expires BIGINT NOT NULL, used BIGINT NOT NULL);"
            "CREATE INDEX auth_codes_expires ON auth_codes (expires);"
            "CREATE TABLE auth_sessions ("
            " hash TEXT PRIMARY KEY, identity TEXT NOT NULL, session TEXT NOT NULL,"
            " created BIGINT NOT NULL, expires BIGINT NOT NULL);"
            "CREATE INDEX auth_sessions_identity ON auth_sessions (identity);"
            "CREATE TABLE auth_flows ("
            " hash TEXT PRIMARY KEY, source TEXT NOT NULL, browser TEXT NOT NULL,"
            " nonce TEXT NOT NULL, verifier TEXT NOT NULL, redirect_uri TEXT NOT NULL,"
            " next TEXT NOT NULL, expires BIGINT NOT NULL);"
            "CREATE TABLE auth_projects ("
            " id TEXT PRIMARY KEY, owner TEXT NOT NULL, document TEXT NOT NULL,"
            " created BIGINT NOT NULL);"
            "CREATE INDEX auth_projects_owner ON auth_projects (owner);"
            "CREATE TABLE auth_policies ("
            " id TEXT PRIMARY KEY, project TEXT NOT NULL, owner TEXT NOT NULL,"
            " document TEXT NOT NULL, created BIGINT NOT NULL);"},
    {.name = NULL}};
