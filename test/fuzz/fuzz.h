/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *	  What the fuzz targets share.
 *
 * A target is one file with the function that libFuzzer calls for each input.
 * replay.c calls it for the files of the corpus, so that these are tested
 * without libFuzzer as well.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"

/* Say what does not hold and stop, which libFuzzer takes for a finding. */
#define require(cond, ...) \
	do { \
		if (!(cond)) \
		{ \
			fprintf(stderr, __VA_ARGS__); \
			fputc('\n', stderr); \
			abort(); \
		} \
	} while (0)

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * A number from the next bytes of the input, the lowest first; bytes that are
 * not there are 0.
 */
extern uint64_t fuzz_number(const uint8_t **data, size_t *size, int bytes);

/* Is it one that generating and decoding can rely on? */
extern void fuzz_require_consistent(const SfLayout *layout);

/* Is it a sentence with an end? */
extern void fuzz_require_sentence(const SfTextError *error);

#endif							/* FUZZ_H */
