/* The credential file is written by another account: foreign bytes.  Bytes are tried as a token,
 * and as the inside of a token (so that the fuzzer gets past the signature). */
#include <stdint.h>
#include <stdlib.h>

#include "lib/base/buf.h"
#include "lib/fernet/fernet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char key[] = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    struct buf out autobuf = BUF_INIT, token autobuf = BUF_INIT, back autobuf = BUF_INIT;
    struct err err = ERR_INIT;
    (void)!fernet_decrypt(key, (const char *)data, size, &out, &err);
    if (fernet_encrypt(key, data, size, &token, &err) != 0 ||
        fernet_decrypt(key, token.data, token.len, &back, &err) != 0 || back.len != size)
        abort();
    return 0;
}
