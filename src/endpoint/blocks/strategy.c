#include "endpoint/blocks/strategy.h"

#include <math.h>

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static struct scaling_step out(const struct scaling *s, int64_t wanted)
{
    int64_t n = least(wanted, s->max_blocks - s->active);
    return (struct scaling_step){n > 0 ? SCALE_OUT : SCALE_NOT, n > 0 ? n : 0};
}

struct scaling_step strategy_step(const struct scaling *s)
{
    const struct scaling_step nothing = {SCALE_NOT, 0};
    double per_block = (double)(s->slots_per_node * s->nodes_per_block);
    double slots = (double)s->active * per_block, tasks = (double)s->tasks;
    if (!s->scales)
        return nothing;
    if (s->tasks == 0) {
        bool more = s->active > s->min_blocks && s->idle_long;
        return more ? (struct scaling_step){SCALE_IN, s->active - s->min_blocks} : nothing;
    }
    if (slots / tasks < s->parallelism)
        return out(s, (int64_t)ceil((ceil(tasks * s->parallelism) - slots) / per_block));
    if (s->active == 0) /* parallelism 0: one block must do */
        return out(s, 1);
    if (slots > tasks && s->gives_early && s->active > s->min_blocks) {
        double spare = floor(floor(slots - tasks * s->parallelism) / per_block);
        int64_t n = least((int64_t)spare, s->active - s->min_blocks);
        return n > 0 ? (struct scaling_step){SCALE_IN_IDLE_ONLY, n} : nothing;
    }
    return nothing;
}
