/* Runs the tables of this folder's unit tests: ARGV[1] is render-cases.json. */
#include "lib/render/test_tables.h"

int main(int argc, char **argv)
{
    int failed = argc > 1 ? render_tests(argv[1]) : 1;
    failed += property_tests();
    return failed != 0;
}
