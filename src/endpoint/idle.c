#include "endpoint/idle.h"

void idle_init(struct idle *i, int64_t soft, int64_t hard)
{
    int64_t s = soft > 0 ? soft : 0;
    *i = (struct idle){.soft_max = s, .hard_max = hard > s + 1 ? hard : s + 1};
}

enum idle_state idle_tick(struct idle *i, uint64_t received, uint64_t confirmed,
                          uint64_t outstanding)
{
    bool moved = received != i->received || confirmed != i->confirmed;
    i->received = received;
    i->confirmed = confirmed;
    if (i->soft_max == 0 || moved) {
        i->soft = i->hard = 0;
        return i->state = IDLE_ACTIVE;
    }
    i->hard++;
    if (received + confirmed > 0 && outstanding == 0) {
        i->soft++;
        i->left = i->soft_max - i->soft;
        i->state = i->soft >= i->soft_max ? IDLE_LEAVE_SOFT : IDLE_SOFT;
    } else {
        i->left = i->hard_max + 1 - i->hard;
        i->state = i->hard > i->hard_max   ? IDLE_LEAVE_HARD
                   : i->hard > i->soft_max ? IDLE_HARD
                                           : IDLE_QUIET;
    }
    return i->state;
}
