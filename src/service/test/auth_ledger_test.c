/* Sign-in in the ledger: people, clients, the life of codes and tokens, with time moved by hand.
 * The same on SQLite and, when SALLYPORT_TEST_POSTGRES names a database, on PostgreSQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "service/auth/admin.h"
#include "service/auth/grant.h"
#include "service/auth/people.h"
#include "service/auth/tokens.h"

static struct loop *loop;
static struct store *store;
static char folder[] = "/tmp/auth_ledger_test-XXXXXX";
static char *url;

static const struct lifetimes life = {
    .access_s = 100, .refresh_s = 1000, .overlap_s = 50, .code_s = 10, .session_s = 60};

#define VERIFIER "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define CHALLENGE "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
#define BACK "http://localhost:5000/v2/web/auth-code"
#define SCOPES "openid " AUTH_SCOPE_COMPUTE " " SCOPE_PROJECTS

static int wipe_job(struct db *db, void *arg, struct err *err)
{
    static const char *const tables[] = {"auth_identities", "auth_clients",  "auth_tokens",
                                         "auth_codes",      "auth_sessions", "auth_flows",
                                         "auth_projects",   "auth_policies"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        autofree char *sql = xasprintf("DELETE FROM %s", tables[i]);
        if (db_run(db, err, sql, "") < 0)
            return -1;
    }
    return 0;
}

static int set_up(void **state)
{
    struct err err = ERR_INIT;
    loop = loop_create();
    store = store_open(loop, url, &err);
    if (store == NULL)
        print_error("%s\n", err.text);
    return store != NULL && store_now(store, wipe_job, NULL, &err) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    store_close(store);
    loop_once(loop, 0);
    loop_destroy(loop);
    return 0;
}

/* Runs the job; the test has failed when the ledger did. */
static void now(store_job_f *job, void *arg)
{
    struct err err = ERR_INIT;
    if (store_now(store, job, arg, &err) != 0)
        fail_msg("%s", err.text);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

struct add {
    const char *username, *link;
    char id[UUID_TEXT], set[UUID_TEXT];
};
static int add_job(struct db *db, void *arg, struct err *err)
{
    struct add *a = arg;
    struct admin_user user = {
        .username = a->username, .link_to = a->link, .password_hash = "$sha256$00"};
    struct json_object *o = admin_user_add(db, &user, "here", err);
    if (o == NULL)
        return -1;
    id_copy(a->id, json_str_or(o, "id", NULL));
    id_copy(a->set, json_str_or(o, "identity_set", NULL));
    json_object_put(o);
    return 0;
}

struct sign {
    const char *identity;
    char code[SECRET_TEXT];
    int64_t at;
    bool offline;
};
static int code_job(struct db *db, void *arg, struct err *err)
{
    struct sign *s = arg;
    struct code_request code = {.identity = s->identity,
                                .client = NATIVE_CLIENT,
                                .redirect_uri = BACK,
                                .challenge = CHALLENGE,
                                .scope = SCOPES,
                                .session = "{}",
                                .offline = s->offline};
    secret_make(SECRET_CODE, s->code);
    return tokens_code_make(db, &code, s->code, s->at, &life, err);
}

struct redeem {
    const char *code, *client, *uri, *verifier;
    int64_t at;
    struct issued out;
};
static int redeem_job(struct db *db, void *arg, struct err *err)
{
    struct redeem *r = arg;
    return tokens_code_redeem(
        db, r->code, r->client == NULL ? NATIVE_CLIENT : r->client, r->uri == NULL ? BACK : r->uri,
        r->verifier == NULL ? VERIFIER : r->verifier, r->at, &life, &r->out, err);
}

struct refresh {
    const char *token, *scope, *client;
    int64_t at;
    struct issued out;
};
static int refresh_job(struct db *db, void *arg, struct err *err)
{
    struct refresh *r = arg;
    return tokens_refresh(db, r->token, r->client == NULL ? NATIVE_CLIENT : r->client, r->scope,
                          r->at, &life, &r->out, err);
}

struct look {
    const char *token;
    int64_t at;
    int found;
    struct grant *grant;
};
static int look_job(struct db *db, void *arg, struct err *err)
{
    struct look *l = arg;
    char hash[SECRET_HASH_TEXT];
    secret_hash(l->token, hash);
    l->found = grant_load_token(db, hash, l->at, &l->grant, err);
    return l->found < 0 ? -1 : 0;
}

static bool is_alive(const char *token, int64_t at)
{
    struct look l = {.token = token, .at = at};
    now(look_job, &l);
    grant_unref(l.grant);
    return l.found == 1;
}

static const char *field(const struct issued *i, const char *key)
{
    return json_str_or(i->reply, key, "");
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void sign_in(const char *name, struct add *who, struct redeem *out, int64_t at)
{
    *who = (struct add){.username = name};
    now(add_job, who);
    struct sign s = {.identity = who->id, .at = at, .offline = true};
    now(code_job, &s);
    *out = (struct redeem){.code = s.code, .at = at};
    now(redeem_job, out);
    out->code = NULL;
    assert_null(out->out.refusal.error);
}

static void tokens_of_a_sign_in(void **state)
{
    struct add who;
    struct redeem r;
    sign_in("alice", &who, &r, 1000);
    assert_string_equal(field(&r.out, "resource_server"), AUTH_SERVER_COMPUTE);
    assert_string_equal(field(&r.out, "scope"), AUTH_SCOPE_COMPUTE);
    assert_true(r.out.openid);
    assert_string_equal(r.out.sub, who.id);
    struct json_object *others = json_at(r.out.reply, "other_tokens");
    assert_int_equal(json_object_array_length(others), 1);
    struct json_object *other = json_object_array_get_idx(others, 0);
    assert_string_equal(json_str_or(other, "scope", ""), "openid " SCOPE_PROJECTS);
    assert_non_null(json_str_or(other, "refresh_token", NULL));
    struct look l = {.token = field(&r.out, "access_token"), .at = 1050};
    now(look_job, &l);
    assert_int_equal(l.found, 1);
    assert_string_equal(l.grant->who.username, "alice@here");
    assert_int_equal(json_object_array_length(l.grant->who.identity_set), 1);
    struct json_object *identity = json_object_array_get_idx(l.grant->who.identity_set, 0);
    static const char *const strings[] = {"id",
                                          "sub",
                                          "username",
                                          "name",
                                          "email",
                                          "organization",
                                          "status",
                                          "identity_provider",
                                          "identity_type",
                                          "identity_provider_display_name"};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        assert_non_null(json_str_or(identity, strings[i], NULL)); /* never null */
    assert_string_equal(json_str_or(identity, "status", ""), "used");
    grant_unref(l.grant);
    assert_true(is_alive(field(&r.out, "access_token"), 1099));
    assert_false(is_alive(field(&r.out, "access_token"), 1100)); /* expired */
    issued_free(&r.out);
}

static void codes(void **state)
{
    static const struct {
        const char *client, *uri, *verifier;
        int64_t after;
        const char *error;
    } cases[] = {
        {NULL, NULL, NULL, 9, NULL},
        {NULL, NULL, NULL, 10, "invalid_grant"},
        {"00000000-0000-0000-0000-000000000001", NULL, NULL, 0, "invalid_grant"},
        {NULL, "http://localhost:5001/v2/web/auth-code", NULL, 0, "invalid_grant"},
        {NULL, NULL, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXx", 0, "invalid_grant"},
        {NULL, NULL, "", 0, "invalid_grant"},
    };
    struct add who = {.username = "alice"};
    now(add_job, &who);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sign s = {.identity = who.id, .at = 1000, .offline = true};
        now(code_job, &s);
        struct redeem r = {.code = s.code,
                           .client = cases[i].client,
                           .uri = cases[i].uri,
                           .verifier = cases[i].verifier,
                           .at = 1000 + cases[i].after};
        now(redeem_job, &r);
        if (cases[i].error == NULL)
            assert_null(r.out.refusal.error);
        else
            assert_string_equal(r.out.refusal.error, cases[i].error);
        issued_free(&r.out);
    }
    struct redeem unknown = {.code = "Cnothing", .at = 1000};
    now(redeem_job, &unknown);
    assert_string_equal(unknown.out.refusal.error, "invalid_grant");
    issued_free(&unknown.out);
}

static void code_that_comes_twice(void **state)
{
    struct add who = {.username = "alice"};
    now(add_job, &who);
    struct sign s = {.identity = who.id, .at = 1000, .offline = true};
    now(code_job, &s);
    struct redeem first = {.code = s.code, .at = 1001}, second = {.code = s.code, .at = 1002};
    now(redeem_job, &first);
    assert_true(is_alive(field(&first.out, "access_token"), 1002));
    now(redeem_job, &second);
    assert_string_equal(second.out.refusal.error, "invalid_grant");
    /* Somebody else had the code: what it gave is void. */
    assert_false(is_alive(field(&first.out, "access_token"), 1002));
    issued_free(&first.out);
    issued_free(&second.out);
}

static void rotation(void **state)
{
    struct add who;
    struct redeem r;
    sign_in("alice", &who, &r, 1000);
    const char *old = field(&r.out, "refresh_token");
    struct refresh one = {.token = old, .at = 1090};
    now(refresh_job, &one);
    assert_null(one.out.refusal.error);
    assert_string_equal(field(&one.out, "resource_server"), AUTH_SERVER_COMPUTE);
    assert_int_equal(json_object_array_length(json_at(one.out.reply, "other_tokens")), 0);
    assert_string_not_equal(field(&one.out, "refresh_token"), old);
    assert_true(is_alive(field(&one.out, "access_token"), 1189));
    assert_true(is_alive(field(&r.out, "access_token"), 1099)); /* until its own end */
    /* The answer was lost, or another process had the same token: within the overlap it goes. */
    struct refresh again = {.token = old, .at = 1140};
    now(refresh_job, &again);
    assert_null(again.out.refusal.error);
    /* Later it means that somebody has a copy: the whole sign-in is void. */
    struct refresh stolen = {.token = old, .at = 1141};
    now(refresh_job, &stolen);
    assert_string_equal(stolen.out.refusal.error, "invalid_grant");
    assert_false(is_alive(field(&one.out, "access_token"), 1142));
    struct refresh next = {.token = field(&one.out, "refresh_token"), .at = 1143};
    now(refresh_job, &next);
    assert_string_equal(next.out.refusal.error, "invalid_grant");
    issued_free(&r.out);
    issued_free(&one.out);
    issued_free(&again.out);
    issued_free(&stolen.out);
    issued_free(&next.out);
}

static void refresh_refused(void **state)
{
    struct add who;
    struct redeem r;
    sign_in("alice", &who, &r, 1000);
    const struct {
        const char *token, *scope, *client;
        int64_t at;
        const char *error;
    } cases[] = {
        {field(&r.out, "access_token"), NULL, NULL, 1001, "invalid_grant"},
        {field(&r.out, "refresh_token"), NULL, "00000000-0000-0000-0000-000000000001", 1001,
         "invalid_grant"},
        {field(&r.out, "refresh_token"), "openid", NULL, 1001, "invalid_scope"},
        {field(&r.out, "refresh_token"), AUTH_SCOPE_COMPUTE " openid", NULL, 1001, "invalid_scope"},
        {field(&r.out, "refresh_token"), AUTH_SCOPE_COMPUTE " " AUTH_SCOPE_COMPUTE, NULL, 1001,
         NULL},
        {field(&r.out, "refresh_token"), NULL, NULL, 2000, "invalid_grant"},
        {"Rnothing", NULL, NULL, 1001, "invalid_grant"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct refresh f = {.token = cases[i].token,
                            .scope = cases[i].scope,
                            .client = cases[i].client,
                            .at = cases[i].at};
        now(refresh_job, &f);
        if (cases[i].error == NULL) {
            assert_null(f.out.refusal.error);
            assert_string_equal(field(&f.out, "scope"), AUTH_SCOPE_COMPUTE);
        } else {
            assert_string_equal(f.out.refusal.error, cases[i].error);
        }
        issued_free(&f.out);
    }
    issued_free(&r.out);
}

struct revoke {
    const char *token, *client;
    char family[UUID_TEXT];
};
static int revoke_job(struct db *db, void *arg, struct err *err)
{
    struct revoke *v = arg;
    return tokens_revoke(db, v->token, v->client, v->family, err);
}

static void revocation(void **state)
{
    struct add who;
    struct redeem r;
    sign_in("alice", &who, &r, 1000);
    struct json_object *other = json_object_array_get_idx(json_at(r.out.reply, "other_tokens"), 0);
    struct revoke foreign = {field(&r.out, "access_token"), "00000000-0000-0000-0000-000000000001",
                             ""};
    now(revoke_job, &foreign);
    assert_true(is_alive(field(&r.out, "access_token"), 1001)); /* another client's: left alone */
    struct revoke v = {field(&r.out, "access_token"), NATIVE_CLIENT, ""};
    now(revoke_job, &v);
    assert_false(is_alive(field(&r.out, "access_token"), 1001));
    assert_string_equal(v.family, r.out.family);
    struct revoke w = {json_str_or(other, "refresh_token", ""), NATIVE_CLIENT, ""};
    now(revoke_job, &w);
    assert_false(is_alive(json_str_or(other, "access_token", ""), 1001));
    struct refresh f = {.token = json_str_or(other, "refresh_token", ""), .at = 1001};
    now(refresh_job, &f);
    assert_string_equal(f.out.refusal.error, "invalid_grant");
    issued_free(&f.out);
    issued_free(&r.out);
}

struct named {
    const char *name, *to;
    bool flag;
    int rc;
};
static int link_job(struct db *db, void *arg, struct err *err)
{
    struct named *n = arg;
    return admin_link(db, n->name, n->to, "here", err);
}
static int disable_job(struct db *db, void *arg, struct err *err)
{
    struct named *n = arg;
    return admin_disable(db, n->name, n->flag, "here", err);
}
static int admin_job(struct db *db, void *arg, struct err *err)
{
    struct named *n = arg;
    return admin_set_admin(db, n->name, n->flag, "here", err);
}
static int remove_job(struct db *db, void *arg, struct err *err)
{
    struct named *n = arg;
    return admin_remove(db, n->name, "user", "here", err);
}

static void linked_identities(void **state)
{
    struct add bob = {.username = "bob@campus.edu"};
    struct add carol = {.username = "carol", .link = "alice@example.org"};
    struct add alice;
    struct redeem r;
    sign_in("alice@example.org", &alice, &r, 1000);
    now(add_job, &bob);
    now(add_job, &carol);
    assert_string_equal(carol.set, alice.set);
    struct named link = {.name = "bob@campus.edu", .to = alice.id};
    now(link_job, &link);
    struct look l = {.token = field(&r.out, "access_token"), .at = 1001};
    now(look_job, &l);
    struct auth_who *who = &l.grant->who;
    assert_int_equal(json_object_array_length(who->identity_set), 3);
    assert_string_equal(json_str_or(json_object_array_get_idx(who->identity_set, 0), "sub", ""),
                        alice.id); /* the one that signed in comes first */
    assert_true(auth_who_is(who, bob.id));
    assert_true(auth_who_is(who, alice.id));
    assert_false(auth_who_is(who, NATIVE_CLIENT));
    assert_false(who->is_admin);
    grant_unref(l.grant);
    struct named admin = {.name = "carol", .flag = true}; /* any identity of the set */
    now(admin_job, &admin);
    now(look_job, &l);
    assert_true(l.grant->who.is_admin);
    grant_unref(l.grant);
    struct named apart = {.name = "bob@campus.edu"};
    now(link_job, &apart);
    now(look_job, &l);
    assert_false(auth_who_is(&l.grant->who, bob.id));
    grant_unref(l.grant);
    issued_free(&r.out);
}

static void closed_accounts(void **state)
{
    struct add who;
    struct redeem r;
    sign_in("alice", &who, &r, 1000);
    struct named n = {.name = "alice", .flag = true};
    now(disable_job, &n);
    assert_false(is_alive(field(&r.out, "access_token"), 1001));
    struct sign s = {.identity = who.id, .at = 1000, .offline = true};
    now(code_job, &s);
    struct redeem again = {.code = s.code, .at = 1001};
    now(redeem_job, &again);
    assert_string_equal(again.out.refusal.error, "invalid_grant");
    n.flag = false;
    now(disable_job, &n);
    now(remove_job, &n);
    struct err err = ERR_INIT;
    assert_int_equal(store_now(store, remove_job, &n, &err), -1);
    assert_non_null(strstr(err.text, "there is no user"));
    issued_free(&again.out);
    issued_free(&r.out);
}

static void names_are_unique(void **state)
{
    struct add one = {.username = "Alice@Example.org"}, two = {.username = "alice@example.org"};
    struct err err = ERR_INIT;
    now(add_job, &one);
    assert_int_equal(store_now(store, add_job, &two, &err), -1);
    assert_non_null(strstr(err.text, "already"));
    struct add lost = {.username = "bob", .link = "nobody@nowhere"};
    assert_int_equal(store_now(store, add_job, &lost, &err), -1);
}

struct client_add {
    const char *name, *as;
    char id[UUID_TEXT];
    struct issued out;
    const char *scope;
    int64_t at;
};
static int client_job(struct db *db, void *arg, struct err *err)
{
    struct client_add *c = arg;
    struct admin_client client = {.name = c->name, .link_to = c->as, .secret_hash = "$sha256$00"};
    struct json_object *o = admin_client_add(db, &client, "here", err);
    if (o == NULL)
        return -1;
    id_copy(c->id, json_str_or(o, "client_id", NULL));
    json_object_put(o);
    return 0;
}
static int client_token_job(struct db *db, void *arg, struct err *err)
{
    struct client_add *c = arg;
    struct scopes s;
    if (scopes_parse(c->scope, &s, err) != 0)
        return -1;
    int rc = tokens_for_client(db, c->id, &s, c->at, &life, &c->out, err);
    scopes_free(&s);
    return rc;
}

static void clients(void **state)
{
    struct add alice = {.username = "alice"};
    now(add_job, &alice);
    struct client_add c = {
        .name = "robot", .as = "alice", .scope = "openid openid " AUTH_SCOPE_COMPUTE, .at = 1000};
    now(client_job, &c);
    now(client_token_job, &c);
    assert_null(c.out.refusal.error);
    assert_null(json_at(c.out.reply, "refresh_token"));
    assert_false(c.out.openid);
    assert_int_equal(json_object_array_length(json_at(c.out.reply, "other_tokens")), 1);
    struct look l = {.token = field(&c.out, "access_token"), .at = 1001};
    now(look_job, &l);
    assert_string_equal(l.grant->who.sub, c.id);
    assert_true(auth_who_is(&l.grant->who, alice.id));
    grant_unref(l.grant);
    struct named n = {.name = c.id, .flag = true};
    now(disable_job, &n);
    assert_false(is_alive(field(&c.out, "access_token"), 1001));
    issued_free(&c.out);
    now(client_token_job, &c);
    assert_string_equal(c.out.refusal.error, "invalid_grant");
    issued_free(&c.out);
}

static int tidy_job(struct db *db, void *arg, struct err *err)
{
    return tokens_tidy(db, *(int64_t *)arg, err);
}
static int count_job(struct db *db, void *arg, struct err *err)
{
    struct db_rows *rows = db_query(db, err, "SELECT COUNT(*) FROM auth_tokens", "");
    if (rows == NULL || db_next(rows, err) != 1)
        return -1;
    *(int64_t *)arg = db_int(rows, 0);
    db_rows_end(rows);
    return 0;
}

static void tidying(void **state)
{
    struct add who;
    struct redeem r;
    sign_in("alice", &who, &r, 1000);
    int64_t n = 0, at = 1099;
    now(tidy_job, &at);
    now(count_job, &n);
    assert_int_equal(n, 4);
    at = 1100;
    now(tidy_job, &at);
    now(count_job, &n);
    assert_int_equal(n, 2);
    at = 2000;
    now(tidy_job, &at);
    now(count_job, &n);
    assert_int_equal(n, 0);
    issued_free(&r.out);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static int run(const char *name)
{
    const struct CMUnitTest tests[] = {
        TEST(tokens_of_a_sign_in),
        TEST(codes),
        TEST(code_that_comes_twice),
        TEST(rotation),
        TEST(refresh_refused),
        TEST(revocation),
        TEST(linked_identities),
        TEST(closed_accounts),
        TEST(names_are_unique),
        TEST(clients),
        TEST(tidying),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    if (mkdtemp(folder) == NULL)
        return 1;
    url = xasprintf("sqlite:%s/ledger.db", folder);
    int failed = run("service/auth on SQLite");
    free(url);
    fs_remove_tree(folder, NULL);
    const char *postgres = getenv("SALLYPORT_TEST_POSTGRES");
    if (postgres != NULL && *postgres != '\0') {
        url = xstrdup(postgres);
        failed += run("service/auth on PostgreSQL");
        free(url);
    }
    return failed;
}
