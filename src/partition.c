/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  Bounds for partitions by time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "decode.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "shared.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(snowflake_partition_bounds);

/* What is known between two rows. */
typedef struct Bounds
{
	SfLayout	layout;
	TimestampTz from;
	TimestampTz to;
	Interval	step;
	int64		steps;			/* of them to lower_time */
	TimestampTz lower_time;
	int64		lower_id;
} Bounds;

/*
 * The first instant that belongs to the next row.  Reckoned from the start
 * and not from the instant before: months from a 31st lead to the ends of
 * months, and a day that begins later for its daylight saving time does not
 * move those that follow.
 */
static TimestampTz
next_time(Bounds *bounds)
{
	Datum		steps;
	TimestampTz next;

	bounds->steps++;
	steps = DirectFunctionCall2(interval_mul, IntervalPGetDatum(&bounds->step),
								Float8GetDatum(bounds->steps));
	next = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(bounds->from), steps));
	if (next <= bounds->lower_time)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step of partitions must be positive")));
	return Min(next, bounds->to);
}

static Bounds *
begin(FunctionCallInfo fcinfo)
{
	Bounds	   *bounds = palloc0(sizeof(Bounds));

	bounds->from = PG_GETARG_TIMESTAMPTZ(0);
	bounds->to = PG_GETARG_TIMESTAMPTZ(1);
	bounds->step = *PG_GETARG_INTERVAL_P(2);
	if (PG_NARGS() > 3)
		sf_layout_from_text(PG_GETARG_TEXT_PP(3), &bounds->layout);
	else
	{
		sf_shared_attach();
		bounds->layout = sf_shared->layout;
	}

	bounds->lower_time = bounds->from;
	bounds->lower_id = sf_lower_id(&bounds->layout, bounds->from);
	/* An error for the end comes before any row. */
	(void) sf_lower_id(&bounds->layout, bounds->to);
	return bounds;
}

/*
 * snowflake_partition_bounds(from_time timestamptz, to_time timestamptz,
 *							  step interval [, layout text])
 *	  returns setof (lower_time, upper_time timestamptz,
 *					 lower_id, upper_id bigint, bounds text)
 *
 * The time between two instants, without the second, in pieces of a step; the
 * last piece is shorter where the steps do not fit.  Lower bounds belong to
 * their piece and upper bounds do not, as in a partition; "bounds" is the IDs
 * as the clause FOR VALUES of CREATE TABLE.  Pieces in which no tick of the
 * layout starts are left out.  No row where to_time is not after from_time.
 *
 * STABLE also with a layout, since the length of days and months depends on
 * the session's time zone.
 *
 * Errors: 22008 an instant is infinite or outside the layout, 22003 its ID
 * needs the sign bit, 22023 the step is not positive or the layout's text is
 * not one, 55000 no layout given and not preloaded.
 */
Datum
snowflake_partition_bounds(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	Bounds	   *bounds;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;
		TupleDesc	tupdesc;

		context = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		context->tuple_desc = BlessTupleDesc(tupdesc);
		context->user_fctx = begin(fcinfo);
		MemoryContextSwitchTo(old);
	}

	context = SRF_PERCALL_SETUP();
	bounds = context->user_fctx;
	while (bounds->lower_time < bounds->to)
	{
		TimestampTz lower_time = bounds->lower_time;
		int64		lower_id = bounds->lower_id;
		Datum		values[5];
		bool		nulls[5] = {false};

		CHECK_FOR_INTERRUPTS();
		bounds->lower_time = next_time(bounds);
		bounds->lower_id = sf_lower_id(&bounds->layout, bounds->lower_time);
		if (bounds->lower_id == lower_id)
			continue;

		values[0] = TimestampTzGetDatum(lower_time);
		values[1] = TimestampTzGetDatum(bounds->lower_time);
		values[2] = Int64GetDatum(lower_id);
		values[3] = Int64GetDatum(bounds->lower_id);
		values[4] = CStringGetTextDatum(psprintf("FOR VALUES FROM (" INT64_FORMAT ") TO (" INT64_FORMAT ")",
												 lower_id, bounds->lower_id));
		SRF_RETURN_NEXT(context, HeapTupleGetDatum(heap_form_tuple(context->tuple_desc, values, nulls)));
	}
	SRF_RETURN_DONE(context);
}
