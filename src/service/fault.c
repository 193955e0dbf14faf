#include "service/fault.h"

void fault_point(const char *label)
{
    (void)label;
}
