/* The groups of unit tests of lib/render; each returns the number that failed. */
#ifndef SALLYPORT_RENDER_TEST_TABLES_H
#define SALLYPORT_RENDER_TEST_TABLES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

int render_tests(const char *cases_path);
int property_tests(void);

#endif
