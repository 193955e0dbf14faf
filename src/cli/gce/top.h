/* What `top` knows at one moment: endpoints, their user endpoints, and what each of those says.
 *
 * A look: view_look() finds who should be there (find), asks them all (ask); view_lines() makes
 * lines for people of it, view_json() a document for programs.  Answers come from processes of
 * users, so they are bounded, and shown with everything but plain ASCII taken out. */
#ifndef SALLYPORT_GCE_TOP_H
#define SALLYPORT_GCE_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cli/gce/epdir.h"
#include "lib/base/buf.h"
#include "lib/base/json.h"

struct uep {
    char *name, *user, *id; /* id: NULL when the manager doesn't know it yet */
    char *dir;              /* where its status.sock is; NULL = look in the home of the account */
    uid_t uid;
    gid_t gid;
    pid_t pid;                  /* 0 = unknown until it answers */
    struct json_object *status; /* its answer, or NULL */
    char *error;                /* why there is none */
    double rate;                /* tasks a second since the look before; negative = unknown */
};

struct site {
    char *dir, *id; /* id: NULL when never registered */
    const char *name;
    enum ep_status status;
    char *error;
    struct uep *ueps;
    size_t count;
};

struct view {
    double now;
    struct site *sites; /* those without a manager are in one whose name is "-" */
    size_t count;
};

/* epdir: this endpoint only; NULL = all of the base directory.  before: for rates, or NULL. */
struct view *view_look(const char *epdir, const struct view *before);
void view_free(struct view *v); /* NULL is fine */
struct json_object *view_json(const struct view *v);

/* ---- top_find.c ---- */
void find_sites(struct view *v, const char *epdir);
/* User endpoints of a manager that its state file names and that live; -1 when it can't be read. */
int find_children_count(const char *epdir);

/* ---- top_ask.c: fills status, or error; at most a few seconds ---- */
void ask_all(struct view *v);

/* ---- top_show.c ---- */
enum look { LOOK_PLAIN, LOOK_HEAD, LOOK_DIM, LOOK_WARN, LOOK_BAD };
/* Lines that end in \n; the first byte of each is '0' + enum look. */
void view_lines(const struct view *v, int width, struct buf *out);

#endif
