/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  The SQL functions that make IDs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "generator.h"
#include "miscadmin.h"

PG_FUNCTION_INFO_V1(snowflake_next);
PG_FUNCTION_INFO_V1(snowflake_next_batch);

/*
 * snowflake_next() returns bigint
 *
 * A new ID, greater than every ID that this server has made before.  Like
 * nextval() it is not taken back when the transaction ends in an error.
 *
 * Errors: SF001 the clock is too far behind, SF002 the tick is used up and no
 * wait is allowed, SF003 the clock jumped forward, 55000 no node ID or not
 * preloaded, 25006 in recovery, 2200H the layout's time is over, SF004 the
 * database's horizon is ahead of the clock, SF005 its IDs have another layout,
 * SF006 no node ID is leased to this server.
 */
Datum
snowflake_next(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(sf_generator_next(fcinfo->flinfo->fn_oid));
}

/* What is left of a batch between two of its rows. */
typedef struct Batch
{
	SfClaim		claim;
	uint32		used;			/* of the claim */
	uint32		left;			/* not yet claimed */
} Batch;

/*
 * snowflake_next_batch(count integer) returns setof bigint
 *
 * count new IDs, rising.  Those of one tick are claimed at once, so IDs of
 * other sessions come only between ticks.  Errors as snowflake_next(), and
 * 22023 where count is not positive.
 */
Datum
snowflake_next_batch(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	Batch	   *batch;

	if (SRF_IS_FIRSTCALL())
	{
		int32		count = PG_GETARG_INT32(0);

		if (count <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("count must be greater than zero"),
					 errdetail("The count is %d.", count)));
		context = SRF_FIRSTCALL_INIT();
		batch = MemoryContextAllocZero(context->multi_call_memory_ctx, sizeof(Batch));
		batch->left = count;
		context->user_fctx = batch;
	}

	context = SRF_PERCALL_SETUP();
	batch = context->user_fctx;

	if (batch->used == batch->claim.count)
	{
		if (batch->left == 0)
			SRF_RETURN_DONE(context);
		CHECK_FOR_INTERRUPTS();
		sf_generator_claim(fcinfo->flinfo->fn_oid, batch->left, &batch->claim);
		batch->left -= batch->claim.count;
		batch->used = 0;
	}
	SRF_RETURN_NEXT(context, Int64GetDatum(sf_claim_id(&batch->claim, batch->used++)));
}
