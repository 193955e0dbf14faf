/* The groups of unit tests of lib/base; each returns the number that failed. */
#ifndef SALLYPORT_BASE_TEST_TABLES_H
#define SALLYPORT_BASE_TEST_TABLES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

int buf_tests(void);
int json_tests(void);
int loop_tests(void);
int spawn_tests(void);
int text_tests(void);

#endif
