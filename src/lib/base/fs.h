/* Files, with limits and with errors that name the path. */
#ifndef SALLYPORT_BASE_FS_H
#define SALLYPORT_BASE_FS_H

#include <stddef.h>
#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

/* Appends the whole of fd / path to b; more than max bytes is an error. */
int fs_read_fd(int fd, size_t max, const char *what, struct buf *b, struct err *err);
int fs_read(const char *path, size_t max, struct buf *b, struct err *err);
/* Writes "<path>.tmp-xxxxxx" in the same folder, fsyncs if asked, renames. */
int fs_write(const char *path, const void *p, size_t n, mode_t mode, bool sync, struct err *err);
/* All bytes, whatever the signals; -1 with errno. */
int fs_write_all(int fd, const void *p, size_t n);
/* mkdir -p; only the ones made get mode. */
int fs_mkdirs(const char *path, mode_t mode, struct err *err);
/* rm -r that never follows a link. */
int fs_remove_tree(const char *path, struct err *err);
/* A memfd holding the bytes, at offset 0, sealed against change when asked. */
int fs_memfd(const char *name, const void *p, size_t n, bool sealed, struct err *err);

#endif
