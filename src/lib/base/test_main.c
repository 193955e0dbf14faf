/* Runs the tables of this folder's unit tests. */
#include "lib/base/test_tables.h"

int main(void)
{
    int failed = 0;
    failed += buf_tests();
    failed += json_tests();
    failed += loop_tests();
    failed += spawn_tests();
    failed += text_tests();
    return failed != 0;
}
