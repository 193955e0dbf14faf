/* The clock beside that of the web service: a start request is refused when its time is too far
 * from ours (the command line asks the service, and tells us by --skew or --no-clock). */
#include <math.h>
#include <stdlib.h>

#include "manager/explain/lint/lint.h"
#include "manager/listener/command.h"

#define NOTICEABLE_S 30.0

void lint_clock(struct lint *l)
{
    const struct explain *x = l->x;
    if (!x->skew) {
        lint_found(l, LINT_NOTE, NULL, 0, "the clock was not checked: %s",
                   x->no_clock ? x->no_clock : "the web service was not asked");
        return;
    }
    double skew = strtod(x->skew, NULL);
    const char *side = skew > 0 ? "ahead of" : "behind";
    if (fabs(skew) > (double)COMMAND_WINDOW_S)
        lint_found(
            l, LINT_ERROR, NULL, 0,
            "the clock is %.0f s %s that of the web service, so every start request is refused "
            "(more than %d s); synchronise it (chrony, systemd-timesyncd)",
            fabs(skew), side, COMMAND_WINDOW_S);
    else if (fabs(skew) > NOTICEABLE_S)
        lint_found(
            l, LINT_WARNING, NULL, 0,
            "the clock is %.0f s %s that of the web service, start requests are refused from "
            "%d s on; synchronise it (chrony, systemd-timesyncd)",
            fabs(skew), side, COMMAND_WINDOW_S);
}
