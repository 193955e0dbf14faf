/* The key file: two lines, "public <Z85>" and "token <hex>". */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/alloc.h"
#include "lib/base/fs.h"
#include "lib/link/private.h"

static int make_dir(const char *dir, struct err *err)
{
    struct stat st;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_errno(err, "cannot make the key directory %s", dir);
    if (lstat(dir, &st) != 0)
        return err_errno(err, "cannot look at the key directory %s", dir);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 07777) != 0700)
        return err_set(err, "the key directory %s must be a directory of ours with mode 0700", dir);
    return 0;
}

int link_keys_make(struct link_keys *k, const char *dir, char **path, struct err *err)
{
    unsigned char bits[32];
    *path = NULL;
    if (make_dir(dir, err) != 0)
        return -1;
    if (zmq_curve_keypair(k->public_key, k->secret_key) != 0)
        return err_set(err, "libzmq was built without CURVE");
    if (RAND_bytes(bits, sizeof(bits)) != 1)
        return err_set(err, "no random numbers");
    for (size_t i = 0; i < sizeof(bits); i++)
        snprintf(k->token + 2 * i, 3, "%02x", bits[i]);
    char *name = xasprintf("%s/%s", dir, LINK_KEY_FILE);
    autofree char *text = xasprintf("public %s\ntoken %s\n", k->public_key, k->token);
    if (fs_write(name, text, strlen(text), 0600, false, err) != 0) {
        free(name);
        return -1;
    }
    *path = name;
    return 0;
}

int link_keys_read(struct link_keys *k, const char *path, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    *k = (struct link_keys){.token = ""};
    if (fs_read(path, 4096, &text, err) != 0)
        return -1;
    if (sscanf(text.data, "public %40s\ntoken %64s\n", k->public_key, k->token) != 2 ||
        strlen(k->public_key) != KEY_TEXT - 1 || strlen(k->token) != TOKEN_TEXT - 1)
        return err_set(err, "%s is not a key file of a user endpoint", path);
    return 0;
}

bool link_tokens_equal(const char *a, const char *b)
{
    return strlen(a) == TOKEN_TEXT - 1 && strlen(b) == TOKEN_TEXT - 1 &&
           CRYPTO_memcmp(a, b, TOKEN_TEXT - 1) == 0;
}
