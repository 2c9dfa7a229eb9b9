/*-------------------------------------------------------------------------
 *
 * bench.c
 *	  What the quick benchmark needs and SQL does not have.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(bench_constant);
PG_FUNCTION_INFO_V1(bench_cpu_seconds);

/* A function that does nothing: what a call costs by itself. */
Datum
bench_constant(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(42);
}

/* User and system time of this backend.  Unlike in /proc, it is exact. */
Datum
bench_cpu_seconds(PG_FUNCTION_ARGS)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	PG_RETURN_FLOAT8(t.tv_sec + t.tv_nsec / 1e9);
}
