/* Everything that monitor (root) and listener (unprivileged) can say to each other.
 *
 * One SOCK_SEQPACKET socket pair; one message = one packet = `struct table_message`, cut behind its
 * used part, with at most two descriptors beside it.  Every field has a fixed size; texts end in
 * NUL inside their field or the message is malformed.  A malformed message, one that is not allowed
 * now, or one too many ends the listener (a new one is started, with a growing pause); it never
 * has another effect.
 *
 *   life of a listener:   SETTINGS is another program's (below)
 *     monitor → HELLO (descriptors of the administrator's files follow as FILE messages)
 *     listener registers the endpoint, connects to the broker
 *     listener → REGISTERED                     exactly once
 *     listener → START, REFRESH, ALIVE ...      as often as the limits of the table allow
 *     monitor → STARTED, RUNNING, FAILED, REFRESHED   one answer to each request
 *     monitor → EXITED, FILE, STOP              when it happens
 *     listener → FATAL                          then it leaves; the monitor stops with that code
 *
 * How the listener is started: as `listener_user` without arguments, descriptor 0 and 1 /dev/null,
 * 2 the log pipe, 3 (TABLE_SOCKET) the socket; nothing else is open.  Its only capability is
 * CAP_SYS_CHROOT (ambient; when the monitor has it), which it gives up together with the file
 * system.  It dies with the monitor.
 * What it writes to the log pipe goes to the manager's log: one write() a message, "<N>" with a
 * syslog priority 7 debug .. 3 error in front, which is what log_console(true, false) with
 * log_journal(true) makes.  Lines that begin with a blank belong to the message before.
 *
 * Who logs what: the monitor whatever it does to processes (Creating new user endpoint, Command
 * stopped normally, Signaling shutdown, refusals), the listener whatever it decides (forked
 * successfully ... effective identity, already running, cached arguments, mapping, commands).
 *
 * Descriptors in START and REFRESH are memory files sealed against any change (fs_memfd(...,
 * true)); others are TABLE_BAD_GRANT.  When many starts are under way the monitor stops reading:
 * table_send() then says EAGAIN, and the socket becomes writable later.
 *
 * The settings that the monitor obeys never come from the listener: `libexec/sallyport/settings`,
 * a one-shot program without network, run unprivileged before any listener is started, reads
 * config.yaml from descriptor 0 and writes one `struct table_settings` to descriptor 1. */
#ifndef SALLYPORT_MANAGER_TABLE_H
#define SALLYPORT_MANAGER_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/base/uuid.h"

#define TABLE_VERSION 2

#define TABLE_USER 64  /* a local user name with NUL */
#define TABLE_NAME 256 /* a user endpoint's name with NUL */
#define TABLE_KEY 48   /* a Fernet key with NUL */
#define TABLE_TEXT 2048
#define TABLE_PATH 1024
#define TABLE_LIST 2048 /* names, each with its NUL, an empty one ends the list */
#define TABLE_COMMAND 1024
#define TABLE_CORRELATION 64

#define TABLE_SOCKET 3 /* the listener's end */

#define TABLE_CREDENTIALS_MAX (256u << 10) /* bytes of a credential memory file */
#define TABLE_BLOB_MAX (4u << 20)          /* bytes of a blob */

enum table_type {
    /* listener → monitor */
    TABLE_REGISTERED = 1, /* endpoint_id */
    TABLE_START,          /* request, start; descriptors: credentials token, blob */
    TABLE_REFRESH,        /* request, start.user, start.name; descriptor: credentials token */
    TABLE_FATAL,          /* code = exit code of the manager, text */
    /* monitor → listener */
    TABLE_HELLO = 100, /* hello */
    TABLE_FILE,        /* file; descriptor (none: the file is absent) */
    TABLE_STARTED,     /* request, pid: the user endpoint's exec has succeeded */
    TABLE_RUNNING,     /* request, pid, key: it runs already; REFRESH its credentials */
    TABLE_FAILED,      /* request, code, text (for the user), admin (for the log) */
    TABLE_REFRESHED,   /* request; code 0, or 1: it is gone meanwhile */
    TABLE_EXITED,      /* pid, start.user, start.name, code = wait status */
    TABLE_STOP,        /* final heartbeat, then leave */
};

/* Why a start was refused before anything was forked; beside the codes 70..87 of the session. */
enum table_refusal {
    TABLE_NO_ACCOUNT = 1,  /* getpwnam knows no such name */
    TABLE_SAME_USER = 2,   /* the manager's own account, or uid 0 */
    TABLE_BAD_ACCOUNT = 3, /* low uid, expired, locked, shell, group, deny list: text says which */
    TABLE_LIMIT = 4,       /* admission: text says which limit */
    TABLE_BAD_NAME = 5,    /* the endpoint's name is none that we accept */
    TABLE_CANT_FORK = 6,
    TABLE_STOPPING = 7,
    TABLE_BAD_GRANT = 8, /* a descriptor is no sealed memory file, or it is too large */
    TABLE_DIED = 9,      /* ended by a signal before its exec, or too slow: text says which */
};

enum table_file {
    TABLE_CONFIG,   /* config.yaml */
    TABLE_TEMPLATE, /* user_config_template */
    TABLE_SCHEMA,
    TABLE_MAPPING, /* identity mapping; sent again when it has changed */
    TABLE_TOKENS,  /* the sign-in of the administrator (JSON of lib/api); once */
};

struct table_message {
    uint32_t type; /* enum table_type */
    int32_t code;
    uint64_t request; /* chosen by the listener, repeated in the answer */
    int32_t pid;
    uint32_t file; /* enum table_file */
    union {
        char endpoint_id[UUID_TEXT];
        struct {
            char user[TABLE_USER];
            char name[TABLE_NAME];
            char key[TABLE_KEY];
            char id[UUID_TEXT];          /* amqp_creds.endpoint_id, for the audit log */
            char command[TABLE_COMMAND]; /* argv joined by blanks, for log lines; cut to fit */
            char correlation[TABLE_CORRELATION]; /* "[request …]" of log lines; cut to fit */
        } start;
        struct {
            uint32_t version;
            bool debug;
            char endpoint_dir[TABLE_PATH]; /* for texts only; it can't be opened */
            char endpoint_uuid[UUID_TEXT]; /* stored or asked for; "" = new */
            char hostname[256];
            char local_user[TABLE_USER];
            bool privileged; /* spec endpoint-manager.md 2.2 */
            bool can_change_user;
        } hello;
        struct {
            char user[TABLE_TEXT];
            char admin[TABLE_TEXT];
        } text;
    };
};

/* What the monitor obeys of config.yaml. */
struct table_settings {
    uint32_t version;
    bool seed_style, debug, high_assurance;
    bool has_mapping, pam_enable, allow_nologin_shells, no_new_privs, force_same_user;
    bool survives_manager; /* a crash of the monitor leaves the user endpoints alone */
    bool audit_hash_chain;
    double heartbeat_period_s;
    double grace_period_s;
    int64_t minimum_uid;                    /* -1 = from login.defs */
    int64_t max_user_endpoints;             /* 0 = no limit */
    int64_t max_user_endpoints_per_user;    /* 0 = no limit */
    int64_t max_starts_per_user_per_minute; /* 0 = no limit */
    int64_t minimum_free_memory_mib;        /* 0 = any */
    char pam_service_name[TABLE_USER];
    char required_group[TABLE_USER];
    char deny_users[TABLE_LIST];
    char listener_user[TABLE_USER]; /* "" = nobody */
    char display_name[256];
    char environment[64]; /* "" = production; for the process title */
    /* Paths as written, absolute or relative to the endpoint directory; "" = none. */
    char template_path[TABLE_PATH], schema_path[TABLE_PATH], environment_path[TABLE_PATH];
    char mapping_path[TABLE_PATH], audit_log_path[TABLE_PATH];
    char user_endpoint_executable[TABLE_PATH];
    char problem[TABLE_TEXT]; /* not "": the configuration can't be used; all else is unset */
};

/* Sends one message with up to two descriptors (-1 = none).  0, or -1 with errno; EAGAIN: full. */
int table_send(int socket, const struct table_message *m, int fd1, int fd2);
/* Receives one.  1, 0 at the end of the stream, -1 with a sentence (malformed) or err->code EAGAIN.
 * from_listener says which side's types are allowed.  Descriptors are close-on-exec, -1 = none, and
 * the caller's. */
int table_receive(int socket, bool from_listener, struct table_message *m, int fds[2],
                  struct err *err);
/* Every text ends inside its field, every bool is one, every number is in its range. */
bool table_settings_are_good(const struct table_settings *s);
/* May a user endpoint be called that?  [A-Za-z0-9._:-]+, not starting with '-' or '.'. */
bool table_name_is_good(const char *name);

#endif
