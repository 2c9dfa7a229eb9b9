/*-------------------------------------------------------------------------
 *
 * unit.h
 *	  What the unit tests share: cmocka, and random cases that come again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UNIT_H
#define UNIT_H

/* cmocka.h needs the first four to be included before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdlib.h>

#include "layout.h"

/* End the running test, and say in which case of it, unless cond holds. */
#define check(cond, ...) \
	do { \
		if (!(cond)) \
		{ \
			fail_msg(__VA_ARGS__); \
			abort();			/* not reached, but only we know */ \
		} \
	} while (0)

#define lengthof(array) ((int) (sizeof(array) / sizeof((array)[0])))

/*
 * Setup of every test with random cases: starts the numbers anew, so that a
 * test has the same cases when it runs alone, and prints the seed.
 */
extern int	unit_seed(void **state);

/* Any 64 bits; a number below n; a number of that many bits, often a border */
extern uint64_t unit_random(void);
extern uint64_t unit_random_below(uint64_t n);
extern uint64_t unit_random_value(int bits);

/* Any layout that sf_layout_parse() accepts */
extern void unit_random_layout(SfLayout *layout);

/* The preset of that name; the test fails when there is none */
extern const SfLayout *unit_preset(const char *name);

#endif							/* UNIT_H */
