/*-------------------------------------------------------------------------
 *
 * admin.c
 *	  The SQL functions for superusers.
 *
 * The script revokes them from PUBLIC; they check for themselves as well,
 * since a grant would hand out the right to make IDs repeat.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "fmgr.h"
#include "generator.h"
#include "horizon.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(snowflake_accept_clock);
PG_FUNCTION_INFO_V1(snowflake_reset_horizon);
PG_FUNCTION_INFO_V1(snowflake_set_layout);
PG_FUNCTION_INFO_V1(snowflake_horizon_begin);

static void
require_superuser(FunctionCallInfo fcinfo)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to call %s()", get_func_name(fcinfo->flinfo->fn_oid))));
	sf_shared_attach();
}

/*
 * snowflake_accept_clock() returns void
 *
 * Take the clock for right although it jumped forward by more than
 * snowflake.max_jump.
 *
 * Errors: 42501 not superuser, 55000 not preloaded.
 */
Datum
snowflake_accept_clock(PG_FUNCTION_ARGS)
{
	require_superuser(fcinfo);
	sf_generator_accept_clock();
	ereport(LOG, (errmsg("snowflake: the clock was accepted as it is")));
	PG_RETURN_VOID();
}

/*
 * snowflake_reset_horizon(horizon timestamptz) returns void
 *
 * Let the next IDs of this database begin at that time, also where IDs up to
 * a later one may have been made.  It is the caller who knows that none was
 * kept: see the documentation for the query.
 *
 * Errors: 42501 not superuser, 22008 not finite, 55000 this server run has
 * made IDs up to a later time already, 25006 in recovery.
 */
Datum
snowflake_reset_horizon(PG_FUNCTION_ARGS)
{
	TimestampTz horizon = PG_GETARG_TIMESTAMPTZ(0);

	require_superuser(fcinfo);
	PreventCommandDuringRecovery("snowflake_reset_horizon()");
	if (TIMESTAMP_NOT_FINITE(horizon))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("horizon must be finite")));
	sf_horizon_reset(fcinfo->flinfo->fn_oid, horizon);
	ereport(LOG,
			(errmsg("snowflake: the horizon of database \"%s\" was set to %s",
					get_database_name(MyDatabaseId), timestamptz_to_str(horizon))));
	PG_RETURN_VOID();
}

/*
 * snowflake_set_layout() returns void
 *
 * Make the server's layout that of this database.
 *
 * Errors: 42501 not superuser, SF005 IDs could repeat, 55000 the layout of the
 * database's IDs is not known, though it has a horizon, 25006 in recovery.
 */
Datum
snowflake_set_layout(PG_FUNCTION_ARGS)
{
	require_superuser(fcinfo);
	PreventCommandDuringRecovery("snowflake_set_layout()");
	sf_horizon_set_layout(fcinfo->flinfo->fn_oid);
	ereport(LOG,
			(errmsg("snowflake: the layout of database \"%s\" was set to that of the server",
					get_database_name(MyDatabaseId))));
	PG_RETURN_VOID();
}

/* Only for the script of CREATE EXTENSION, which drops it again. */
Datum
snowflake_horizon_begin(PG_FUNCTION_ARGS)
{
	if (sf_shared_exists())
	{
		sf_shared_attach();
		sf_horizon_begin(fcinfo->flinfo->fn_oid);
	}
	PG_RETURN_VOID();
}
