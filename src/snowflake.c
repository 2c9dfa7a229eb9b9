/*-------------------------------------------------------------------------
 *
 * snowflake.c
 *	  Entry point of the library.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "guc.h"
#include "horizon.h"
#include "shared.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	sf_guc_init();
	sf_shared_init();
	sf_horizon_init();
}
