#include "service/auth/key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "service/auth/b64url.h"

#define BITS 2048
#define FILE_MAX (64u << 10)

struct key {
    EVP_PKEY *present;
    char id[KEY_ID_TEXT];
    struct json_object *set;
};

static int write_new(const char *path, struct err *err)
{
    EVP_PKEY *pkey = EVP_RSA_gen(BITS);
    BIO *bio = BIO_new(BIO_s_secmem());
    char *pem = NULL;
    int rc = -1;
    if (pkey == NULL || bio == NULL ||
        PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) != 1) {
        err_set(err, "%s: OpenSSL could not make an RSA key", path);
    } else {
        long n = BIO_get_mem_data(bio, &pem);
        autofree char *fresh = xasprintf("%s.%d", path, (int)getpid());
        rc = fs_write(fresh, pem, (size_t)n, 0600, true, err);
        /* link(2) lets one of two processes that start at once win; the other reads its key. */
        if (rc == 0 && link(fresh, path) != 0 && errno != EEXIST)
            rc = err_errno(err, "%s", path);
        unlink(fresh);
    }
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    return rc;
}

/* An encrypted file is refused; nobody is there to type. */
static int no_passphrase(char *buf, int size, int rw, void *arg)
{
    return 0;
}

static EVP_PKEY *read_file(const char *path, struct err *err)
{
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        err_errno(err, "%s", path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0 || st.st_uid != geteuid()) {
        err_set(err,
                "%s: the key that signs id tokens has to be a file of the service's own account "
                "with mode 0600",
                path);
        return NULL;
    }
    struct buf b = BUF_INIT;
    EVP_PKEY *pkey = NULL;
    if (fs_read_fd(fd, FILE_MAX, path, &b, err) == 0) {
        BIO *bio = BIO_new_mem_buf(b.data, (int)b.len);
        pkey = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
        BIO_free(bio);
        if (pkey != NULL && EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA) {
            EVP_PKEY_free(pkey);
            pkey = NULL;
        }
        if (pkey == NULL)
            err_set(err,
                    "%s: no RSA key in PEM form; remove the file and start again for a new "
                    "one",
                    path);
    }
    if (b.data != NULL)
        OPENSSL_cleanse(b.data, b.len);
    buf_free(&b);
    return pkey;
}

static void add_number(const EVP_PKEY *pkey, const char *parameter, struct buf *out)
{
    BIGNUM *n = NULL;
    unsigned char bytes[1024];
    if (EVP_PKEY_get_bn_param(pkey, parameter, &n) == 1 && BN_num_bytes(n) <= (int)sizeof bytes) {
        int len = BN_bn2bin(n, bytes);
        b64url_add(out, bytes, (size_t)len);
    }
    BN_free(n);
}

/* The public half as a JWK; its thumbprint into id. */
static struct json_object *jwk(const EVP_PKEY *pkey, char id[KEY_ID_TEXT])
{
    struct buf n = BUF_INIT, e = BUF_INIT, canonical = BUF_INIT, thumb = BUF_INIT;
    add_number(pkey, OSSL_PKEY_PARAM_RSA_N, &n);
    add_number(pkey, OSSL_PKEY_PARAM_RSA_E, &e);
    buf_fmt(&canonical, "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}", e.data, n.data);
    unsigned char digest[32];
    EVP_Digest(canonical.data, canonical.len, digest, NULL, EVP_sha256(), NULL);
    b64url_add(&thumb, digest, sizeof digest);
    memcpy(id, thumb.data, KEY_ID_TEXT); /* 43 characters of base64url and the NUL */
    struct json_object *o = json_object_new_object();
    json_add_str(o, "kty", "RSA");
    json_add_str(o, "use", "sig");
    json_add_str(o, "alg", "RS512");
    json_add_str(o, "kid", id);
    json_add_str(o, "n", n.data);
    json_add_str(o, "e", e.data);
    buf_free(&n);
    buf_free(&e);
    buf_free(&canonical);
    buf_free(&thumb);
    return o;
}

struct key *key_open(const char *data_dir, struct err *err)
{
    autofree char *path = xasprintf("%s/auth-key.pem", data_dir);
    autofree char *old_path = xasprintf("%s/auth-key.old.pem", data_dir);
    if (access(path, F_OK) != 0 && write_new(path, err) != 0)
        return NULL;
    EVP_PKEY *present = read_file(path, err);
    if (present == NULL)
        return NULL;
    struct key *k = xcalloc(1, sizeof *k);
    k->present = present;
    k->set = json_object_new_object();
    struct json_object *keys = json_object_new_array();
    json_object_array_add(keys, jwk(present, k->id));
    if (access(old_path, F_OK) == 0) {
        EVP_PKEY *old = read_file(old_path, err);
        if (old == NULL) {
            json_object_put(keys);
            key_close(k);
            return NULL;
        }
        char id[KEY_ID_TEXT];
        json_object_array_add(keys, jwk(old, id));
        EVP_PKEY_free(old);
    }
    json_add(k->set, "keys", keys);
    return k;
}

void key_close(struct key *k)
{
    if (k == NULL)
        return;
    EVP_PKEY_free(k->present);
    json_object_put(k->set);
    free(k);
}

EVP_PKEY *key_private(const struct key *k)
{
    return k->present;
}

const char *key_id(const struct key *k)
{
    return k->id;
}

struct json_object *key_set(const struct key *k)
{
    return json_object_get(k->set);
}
