#include "service/broker/creds.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/map.h"

#define KEY_BYTES 32
/* Another process may rotate or revoke: what the ledger said is believed for so long. */
#define FRESH_US LOOP_S(5)
#define KNOWN_MAX 20000

struct known {
    int64_t generation; /* of the newest password; 0 = none was given out */
    int64_t oldest;     /* generations below are not valid */
    int64_t since_s;    /* when the newest began */
    uint64_t read_us;
};

struct creds {
    struct loop *loop;
    struct store *store;
    unsigned char key[KEY_BYTES];
    struct map *known;
};

/* ---- passwords ---- */

static void derive(const struct creds *c, const char *text, char out[CREDS_PASSWORD])
{
    unsigned char mac[32], base64[64];
    unsigned n = sizeof(mac);
    HMAC(EVP_sha256(), c->key, KEY_BYTES, (const unsigned char *)text, strlen(text), mac, &n);
    EVP_EncodeBlock(base64, mac, (int)n);
    for (unsigned char *p = base64; *p; p++)
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    base64[strcspn((char *)base64, "=")] = '\0';
    strcpy(out, (char *)base64);
}

void creds_derive(const struct creds *c, const char *text, char out[CREDS_PASSWORD])
{
    autofree char *labelled = xasprintf("other:%s", text);
    derive(c, labelled, out);
}

static void password_of(const struct creds *c, const char *principal, int64_t generation,
                        char out[CREDS_PASSWORD])
{
    char digest[CREDS_PASSWORD];
    autofree char *text = xasprintf("broker:%s:%lld", principal, (long long)generation);
    derive(c, text, digest);
    /* A letter first: an endpoint that replaces the port in its URL damages a password that begins
     * with the port's digits. */
    out[0] = 'p';
    memcpy(out + 1, digest, 40);
    out[41] = '\0';
    OPENSSL_cleanse(digest, sizeof(digest));
}

static int make_key(const char *path, struct err *err)
{
    unsigned char key[KEY_BYTES];
    int rc = getrandom(key, sizeof(key), 0) == sizeof(key)
                 ? fs_write(path, key, sizeof(key), 0600, true, err)
                 : err_errno(err, "no random numbers");
    OPENSSL_cleanse(key, sizeof(key));
    return rc;
}

static int read_key(struct creds *c, const char *path, struct err *err)
{
    autobuf struct buf b = BUF_INIT;
    if (access(path, F_OK) < 0 && make_key(path, err) < 0)
        return -1;
    if (fs_read(path, 4096, &b, err) < 0)
        return -1;
    if (b.len != KEY_BYTES)
        return err_set(err, "%s: a key of %d bytes is needed, it has %zu", path, KEY_BYTES, b.len);
    memcpy(c->key, b.data, KEY_BYTES);
    OPENSSL_cleanse(b.data, b.len);
    return 0;
}

struct creds *creds_create(struct loop *l, struct store *s, const char *key_path, struct err *err)
{
    struct creds *c = xcalloc(1, sizeof(*c));
    c->loop = l;
    c->store = s;
    c->known = map_create();
    if (read_key(c, key_path, err) < 0) {
        creds_destroy(c);
        return NULL;
    }
    return c;
}

void creds_destroy(struct creds *c)
{
    if (!c)
        return;
    map_destroy(c->known, free);
    OPENSSL_cleanse(c->key, sizeof(c->key));
    free(c);
}

/* ---- generations, in the ledger ---- */

struct work {
    struct creds *c;
    char principal[CREDS_NAME];
    char *password; /* to check */
    uint64_t rotate_s;
    bool found;
    struct known state;
    creds_f *issued;
    creds_check_f *checked;
    loop_f *revoked;
    void *arg;
};

static int read_state(struct db *db, struct work *w, struct err *err)
{
    struct db_rows *r =
        db_query(db, err, "SELECT generation, oldest, since_s FROM principals WHERE name = ?", "s",
                 w->principal);
    int rc = r ? db_next(r, err) : -1;
    w->found = rc == 1;
    w->state = (struct known){0};
    if (w->found)
        w->state = (struct known){
            .generation = db_int(r, 0), .oldest = db_int(r, 1), .since_s = db_int(r, 2)};
    db_rows_end(r);
    return rc < 0 ? -1 : 0;
}

static int read_job(struct db *db, void *arg, struct err *err)
{
    return read_state(db, arg, err);
}

static bool is_due(const struct known *k, uint64_t rotate_s)
{
    return k->generation < k->oldest || k->generation == 0 ||
           (uint64_t)((int64_t)clock_unix() - k->since_s) > rotate_s;
}

static int issue_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    if (read_state(db, w, err) < 0)
        return -1;
    if (w->found && !is_due(&w->state, w->rotate_s))
        return 0;
    w->state.generation =
        w->state.generation < w->state.oldest ? w->state.oldest : w->state.generation + 1;
    w->state.since_s = (int64_t)clock_unix();
    return db_run(db, err,
                  "INSERT INTO principals(name, generation, oldest, since_s) VALUES (?, ?, ?, ?) "
                  "ON CONFLICT(name) DO UPDATE SET generation = excluded.generation, "
                  "since_s = excluded.since_s",
                  "siii", w->principal, w->state.generation, w->state.oldest, w->state.since_s) < 0
               ? -1
               : 0;
}

static int revoke_job(struct db *db, void *arg, struct err *err)
{
    struct work *w = arg;
    if (read_state(db, w, err) < 0)
        return -1;
    w->state.oldest = w->state.generation + 1;
    return db_run(db, err, "UPDATE principals SET oldest = generation + 1 WHERE name = ?", "s",
                  w->principal) < 0
               ? -1
               : 0;
}

static void remember(struct creds *c, const char *principal, const struct known *state)
{
    struct known *k = map_get(c->known, principal);
    if (!k) {
        if (map_count(c->known) >= KNOWN_MAX) {
            map_destroy(c->known, free);
            c->known = map_create();
        }
        k = xcalloc(1, sizeof(*k));
        map_put(c->known, principal, k);
    }
    *k = *state;
    k->read_us = loop_now_us(c->loop);
}

static struct work *work_new(struct creds *c, const char *principal, void *arg)
{
    struct work *w = xcalloc(1, sizeof(*w));
    w->c = c;
    strncpy(w->principal, principal, CREDS_NAME - 1);
    w->arg = arg;
    return w;
}

static void work_free(struct work *w)
{
    wipe_free(w->password);
    free(w);
}

static void hand_out(struct creds *c, const char *principal, const struct known *k, creds_f *done,
                     void *arg)
{
    char password[CREDS_PASSWORD];
    struct err err = ERR_INIT;
    password_of(c, principal, k->generation, password);
    done(arg, password, &err);
    OPENSSL_cleanse(password, sizeof(password));
}

static void issued(void *arg, int rc, const struct err *err)
{
    struct work *w = arg;
    if (rc < 0) {
        w->issued(w->arg, NULL, err);
    } else {
        remember(w->c, w->principal, &w->state);
        hand_out(w->c, w->principal, &w->state, w->issued, w->arg);
    }
    work_free(w);
}

void creds_issue(struct creds *c, const char *principal, uint64_t rotate_s, creds_f *done,
                 void *arg)
{
    struct known *k = map_get(c->known, principal);
    if (k && loop_now_us(c->loop) - k->read_us < FRESH_US && !is_due(k, rotate_s)) {
        hand_out(c, principal, k, done, arg);
        return;
    }
    struct work *w = work_new(c, principal, arg);
    w->rotate_s = rotate_s;
    w->issued = done;
    store_write(c->store, issue_job, issued, w);
}

static bool is_valid(struct creds *c, const char *principal, const char *password,
                     const struct known *k)
{
    char expected[CREDS_PASSWORD];
    bool ok = false;
    for (int64_t g = k->generation; g > 0 && g >= k->oldest && g > k->generation - 2; g--) {
        password_of(c, principal, g, expected);
        ok |= strlen(password) == strlen(expected) &&
              CRYPTO_memcmp(password, expected, strlen(expected)) == 0;
    }
    OPENSSL_cleanse(expected, sizeof(expected));
    return ok;
}

static void checked(void *arg, int rc, const struct err *err)
{
    struct work *w = arg;
    bool ok = false;
    if (rc == 0) {
        remember(w->c, w->principal, &w->state);
        ok = is_valid(w->c, w->principal, w->password, &w->state);
    } else {
        /* Nobody revokes anything while the ledger is away: what it last said holds. */
        struct known *k = map_get(w->c->known, w->principal);
        ok = k && is_valid(w->c, w->principal, w->password, k);
        log_warning("event=broker-login user=%.60s allowed=%d: the ledger can't be asked: %s",
                    w->principal, ok, err->text);
    }
    w->checked(w->arg, ok);
    work_free(w);
}

void creds_check(struct creds *c, const char *principal, const char *password, creds_check_f *done,
                 void *arg)
{
    struct known *k = map_get(c->known, principal);
    if (strlen(principal) >= CREDS_NAME || !password[0]) {
        done(arg, false);
        return;
    }
    if (k && loop_now_us(c->loop) - k->read_us < FRESH_US && is_valid(c, principal, password, k)) {
        done(arg, true);
        return;
    }
    struct work *w = work_new(c, principal, arg);
    w->password = xstrdup(password);
    w->checked = done;
    store_read(c->store, read_job, checked, w);
}

static void revoked(void *arg, int rc, const struct err *err)
{
    struct work *w = arg;
    if (rc == 0)
        remember(w->c, w->principal, &w->state);
    else
        log_error("the broker password of %s could not be revoked: %s", w->principal, err->text);
    if (w->revoked)
        w->revoked(w->arg);
    work_free(w);
}

void creds_revoke(struct creds *c, const char *principal, loop_f *done, void *arg)
{
    struct work *w = work_new(c, principal, arg);
    w->revoked = done;
    store_write(c->store, revoke_job, revoked, w);
}
