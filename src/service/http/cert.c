#include "service/http/cert.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/base/alloc.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"

#define FILE_MAX (1 << 20)
#define CHAIN_MAX 16
#define LOOK_US LOOP_S(60)
#define SOON_S (14 * 24 * 3600)
/* A handshake under way may still hold an older one. */
#define KEPT 8

struct loaded {
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned n;
    gnutls_privkey_t key;
};

struct cert {
    char *cert_file, *key_file, *host;
    struct loop_timer *look;
    struct timespec cert_time, key_time;
    struct loaded *now, *old[KEPT];
    unsigned turn;
};

static struct cert *the_one;

static void loaded_free(struct loaded *x)
{
    if (!x)
        return;
    for (unsigned i = 0; i < x->n; i++)
        gnutls_pcert_deinit(&x->chain[i]);
    if (x->key)
        gnutls_privkey_deinit(x->key);
    free(x);
}

/* ---- is it good? ---- */

static void day(time_t t, char out[16])
{
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, 16, "%Y-%m-%d", &tm);
}

static int check_time(gnutls_x509_crt_t crt, const char *file, struct err *err)
{
    char text[16];
    time_t now = (time_t)clock_unix(), end = gnutls_x509_crt_get_expiration_time(crt);
    time_t begin = gnutls_x509_crt_get_activation_time(crt);
    if (now > end) {
        day(end, text);
        return err_set(err, "the certificate %s expired on %s; put a new one there", file, text);
    }
    if (now < begin) {
        day(begin, text);
        return err_set(err, "the certificate %s is valid from %s on; is the clock right?", file,
                       text);
    }
    day(end, text);
    if (end - now < SOON_S)
        log_warning("event=certificate file=%s expires=%s", file, text);
    return 0;
}

static int check_host(gnutls_x509_crt_t crt, const char *file, const char *host, struct err *err)
{
    char names[200] = "";
    size_t used = 0;
    if (!host || gnutls_x509_crt_check_hostname(crt, host))
        return 0;
    for (unsigned i = 0; i < 20; i++) {
        char name[128];
        size_t n = sizeof(name) - 1;
        int rc = gnutls_x509_crt_get_subject_alt_name(crt, i, name, &n, NULL);
        if (rc < 0 && rc != GNUTLS_E_SHORT_MEMORY_BUFFER)
            break;
        if (rc != GNUTLS_SAN_DNSNAME || used + n + 3 > sizeof(names))
            continue;
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%.*s", used ? ", " : "",
                                 (int)n, name);
    }
    return err_set(err,
                   "the certificate %s is for %s, and clients use %s: get one with that name in "
                   "subjectAltName",
                   file, used ? names : "no host", host);
}

/* The key's own half of the pair is the certificate's. */
static bool do_fit(gnutls_x509_crt_t crt, gnutls_privkey_t key)
{
    unsigned char a[64], b[64];
    size_t na = sizeof(a), nb = sizeof(b);
    gnutls_pubkey_t pub = NULL;
    bool ok = gnutls_pubkey_init(&pub) == 0 && gnutls_pubkey_import_privkey(pub, key, 0, 0) == 0 &&
              gnutls_pubkey_get_key_id(pub, GNUTLS_KEYID_USE_SHA256, a, &na) == 0 &&
              gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, b, &nb) == 0 && na == nb &&
              memcmp(a, b, na) == 0;
    if (pub)
        gnutls_pubkey_deinit(pub);
    return ok;
}

static int check_leaf(const struct loaded *x, const char *cert_file, const char *key_file,
                      const char *host, struct err *err)
{
    gnutls_x509_crt_t crt = NULL;
    int rc = -1;
    if (gnutls_x509_crt_init(&crt) < 0 ||
        gnutls_x509_crt_import(crt, &x->chain[0].cert, GNUTLS_X509_FMT_DER) < 0)
        err_set(err, "%s: the certificate can't be read", cert_file);
    else if (!do_fit(crt, x->key))
        err_set(err, "the key %s is not that of the certificate %s", key_file, cert_file);
    else
        rc = check_time(crt, cert_file, err) < 0 ? -1 : check_host(crt, cert_file, host, err);
    if (crt)
        gnutls_x509_crt_deinit(crt);
    return rc;
}

/* ---- reading ---- */

static int import(struct loaded *x, const char *cert_file, const struct buf *cert,
                  const char *key_file, const struct buf *key, struct err *err)
{
    gnutls_datum_t c = {(unsigned char *)cert->data, (unsigned)cert->len};
    gnutls_datum_t k = {(unsigned char *)key->data, (unsigned)key->len};
    unsigned n = CHAIN_MAX;
    int rc = cert->len ? gnutls_pcert_list_import_x509_raw(x->chain, &n, &c, GNUTLS_X509_FMT_PEM, 0)
                       : GNUTLS_E_NO_CERTIFICATE_FOUND;
    if (rc < 0 || n == 0)
        return err_set(err, "%s holds no certificate in PEM form: %s", cert_file,
                       gnutls_strerror(rc));
    x->n = n;
    rc = gnutls_privkey_init(&x->key);
    if (rc >= 0)
        rc = key->len ? gnutls_privkey_import_x509_raw(x->key, &k, GNUTLS_X509_FMT_PEM, NULL, 0)
                      : GNUTLS_E_NO_CERTIFICATE_FOUND;
    if (rc < 0)
        return err_set(err, "%s holds no key in PEM form without a password: %s", key_file,
                       gnutls_strerror(rc));
    return 0;
}

static struct loaded *load(const char *cert_file, const char *key_file, const char *host,
                           struct err *err)
{
    autobuf struct buf cert = BUF_INIT, key = BUF_INIT;
    struct loaded *x = xcalloc(1, sizeof(*x));
    int rc = fs_read(cert_file, FILE_MAX, &cert, err) < 0 ? err_prefix(err, "the certificate")
             : fs_read(key_file, FILE_MAX, &key, err) < 0
                 ? err_prefix(err, "the certificate's key")
                 : import(x, cert_file, &cert, key_file, &key, err);
    if (key.data)
        explicit_bzero(key.data, key.len);
    if (rc == 0)
        rc = check_leaf(x, cert_file, key_file, host, err);
    if (rc == 0)
        return x;
    loaded_free(x);
    return NULL;
}

int cert_check(const char *cert_file, const char *key_file, const char *host, struct err *err)
{
    struct loaded *x = load(cert_file, key_file, host, err);
    loaded_free(x);
    return x ? 0 : -1;
}

/* ---- in use ---- */

static int give(gnutls_session_t session, const gnutls_datum_t *authorities, int n_authorities,
                const gnutls_pk_algorithm_t *algorithms, int n_algorithms, gnutls_pcert_st **chain,
                unsigned *n, gnutls_privkey_t *key)
{
    (void)session;
    (void)authorities;
    (void)n_authorities;
    (void)algorithms;
    (void)n_algorithms;
    if (!the_one)
        return -1;
    *chain = the_one->now->chain;
    *n = the_one->now->n;
    *key = the_one->now->key;
    return 0;
}

void *cert_callback(void)
{
    return (void *)(uintptr_t)give;
}

static bool has_changed(struct cert *c)
{
    struct stat cert, key;
    if (stat(c->cert_file, &cert) < 0 || stat(c->key_file, &key) < 0)
        return false; /* being replaced */
    bool changed = memcmp(&cert.st_mtim, &c->cert_time, sizeof(c->cert_time)) != 0 ||
                   memcmp(&key.st_mtim, &c->key_time, sizeof(c->key_time)) != 0;
    c->cert_time = cert.st_mtim;
    c->key_time = key.st_mtim;
    return changed;
}

void cert_reload(struct cert *c)
{
    struct err err = ERR_INIT;
    has_changed(c);
    struct loaded *x = load(c->cert_file, c->key_file, c->host, &err);
    if (!x) {
        log_error("event=certificate the old one stays in use: %s", err.text);
        return;
    }
    loaded_free(c->old[c->turn % KEPT]);
    c->old[c->turn++ % KEPT] = c->now;
    c->now = x;
    log_info("event=certificate file=%s read again", c->cert_file);
}

static void look_cb(void *arg)
{
    struct cert *c = arg;
    if (has_changed(c))
        cert_reload(c);
    loop_timer_set(c->look, LOOK_US, LOOP_S(5));
}

struct cert *cert_open(struct loop *l, const char *cert_file, const char *key_file,
                       const char *host, struct err *err)
{
    struct loaded *x = load(cert_file, key_file, host, err);
    if (!x)
        return NULL;
    struct cert *c = xcalloc(1, sizeof(*c));
    c->cert_file = xstrdup(cert_file);
    c->key_file = xstrdup(key_file);
    c->host = host ? xstrdup(host) : NULL;
    c->now = x;
    c->look = loop_timer_create(l, look_cb, c);
    has_changed(c);
    loop_timer_set(c->look, LOOK_US, LOOP_S(5));
    the_one = c;
    return c;
}

void cert_close(struct cert *c)
{
    if (!c)
        return;
    the_one = NULL;
    loaded_free(c->now);
    for (unsigned i = 0; i < KEPT; i++)
        loaded_free(c->old[i]);
    loop_timer_destroy(c->look);
    free(c->cert_file);
    free(c->key_file);
    free(c->host);
    free(c);
}
