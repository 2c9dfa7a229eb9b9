/*-------------------------------------------------------------------------
 *
 * decode.c
 *	  The SQL functions that take IDs apart and put them together.
 *
 * Each exists twice in SQL.  Without a layout argument it uses the layout in
 * force on this server and is STABLE: that cannot change while the server
 * runs, but may at a restart.  With one it depends on its arguments alone and
 * is IMMUTABLE, so that it serves in indexes and generated columns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "common/int.h"
#include "compat.h"
#include "decode.h"
#include "fmgr.h"
#include "funcapi.h"
#include "shared.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define US_PER_MS		1000
#define UNIX_TO_POSTGRES_US \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

PG_FUNCTION_INFO_V1(snowflake_decode);
PG_FUNCTION_INFO_V1(snowflake_timestamp);
PG_FUNCTION_INFO_V1(snowflake_node);
PG_FUNCTION_INFO_V1(snowflake_datacenter);
PG_FUNCTION_INFO_V1(snowflake_worker);
PG_FUNCTION_INFO_V1(snowflake_sequence);
PG_FUNCTION_INFO_V1(snowflake_encode);
PG_FUNCTION_INFO_V1(snowflake_lower);

/* What one call site keeps from row to row, in fn_extra. */
typedef struct CallSite
{
	SfLayout	layout;
	int			text_len;		/* of the layout argument; -1: none read yet */
	char		text[SF_LAYOUT_TEXT_SIZE];
	TupleDesc	tupdesc;		/* of snowflake_decode */
} CallSite;

static CallSite *
call_site(FunctionCallInfo fcinfo)
{
	CallSite   *site = fcinfo->flinfo->fn_extra;

	if (site == NULL)
	{
		site = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(CallSite));
		site->text_len = -1;
		fcinfo->flinfo->fn_extra = site;
	}
	return site;
}

/*
 * The layout to work with: that of the argument with this number where there
 * is one, else the server's.
 */
const SfLayout *
sf_layout_of_call(FunctionCallInfo fcinfo, int argno)
{
	CallSite   *site;
	text	   *arg;
	int			len;

	if (PG_NARGS() <= argno)
	{
		sf_shared_attach();
		return &sf_shared->layout;
	}

	site = call_site(fcinfo);
	arg = PG_GETARG_TEXT_PP(argno);
	len = VARSIZE_ANY_EXHDR(arg);
	if (len == site->text_len && memcmp(site->text, VARDATA_ANY(arg), len) == 0)
		return &site->layout;

	/* Invalid while it is being replaced: an error may be caught above us. */
	site->text_len = -1;
	sf_layout_from_text(arg, &site->layout);
	if (len < (int) sizeof(site->text))
	{
		memcpy(site->text, VARDATA_ANY(arg), len);
		site->text_len = len;
	}
	return &site->layout;
}

/* Read a layout given in SQL, or raise an error. */
void
sf_layout_from_text(const text *arg, SfLayout *layout)
{
	char	   *string = text_to_cstring(arg);
	SfTextError error;

	if (!sf_layout_parse(string, layout, &error))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid snowflake layout: \"%s\"", string),
				 errdetail("%s", error.message),
				 errhint("The view snowflake_layouts lists the presets.")));
	pfree(string);
}

static pg_noinline void
refuse_id(const SfLayout *layout, int64 id)
{
	if (id < 0)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("snowflake ID must not be negative: " INT64_FORMAT, id)));
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("snowflake ID is too large for its layout: " INT64_FORMAT, id),
			 errdetail("The layout has %d bits.", layout->total_bits)));
}

static void
split(const SfLayout *layout, int64 id, SfParts *parts)
{
	if (id < 0 || !sf_layout_split(layout, (uint64) id, parts))
		refuse_id(layout, id);
}

/* The tick alone, which is asked for often and of many rows. */
static inline uint64
tick_of_id(const SfLayout *layout, int64 id)
{
	if (id < 0 || (uint64) id > sf_max_value(layout->total_bits))
		refuse_id(layout, id);
	return (uint64) id >> layout->shift[SF_TIME];
}

/* Milliseconds since 1970 as a timestamp, or an error where SQL has none. */
TimestampTz
sf_unix_ms_timestamp(int64 unix_ms)
{
	int64		us;

	if (pg_mul_s64_overflow(unix_ms, US_PER_MS, &us) ||
		pg_sub_s64_overflow(us, UNIX_TO_POSTGRES_US, &us) ||
		!IS_VALID_TIMESTAMP(us))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range"),
				 errdetail("The snowflake ID's time is later than a timestamp can be.")));
	return us;
}

/* A finite timestamp in milliseconds since 1970, rounded down. */
int64
sf_timestamp_unix_ms(TimestampTz timestamp)
{
	int64		us;

	if (pg_add_s64_overflow(timestamp, UNIX_TO_POSTGRES_US, &us))
		us = PG_INT64_MAX;
	return us >= 0 ? us / US_PER_MS : -((-us + US_PER_MS - 1) / US_PER_MS);
}

/* The start of a tick as a timestamp. */
TimestampTz
sf_tick_timestamp(const SfLayout *layout, uint64 tick)
{
	int64		unix_ms;

	if (!sf_layout_unix_ms(layout, tick, &unix_ms))
		unix_ms = PG_INT64_MAX;
	return sf_unix_ms_timestamp(unix_ms);
}

/*
 * The tick of a timestamp: the one that contains it, or with round_up the
 * first that does not start before it.  Infinity is outside every layout.
 */
SfTickStatus
sf_timestamp_tick(const SfLayout *layout, TimestampTz timestamp, bool round_up,
				  uint64_t *tick)
{
	int64		unix_us;

	if (TIMESTAMP_IS_NOBEGIN(timestamp))
		return SF_TICK_BEFORE_EPOCH;
	if (TIMESTAMP_IS_NOEND(timestamp))
		return SF_TICK_AFTER_END;

	/*
	 * The last years of timestamps cannot be counted in microseconds from
	 * 1970, not with a sign.
	 */
	if (pg_add_s64_overflow(timestamp, UNIX_TO_POSTGRES_US, &unix_us))
		return sf_layout_tick_since(layout,
									(uint64) timestamp + UNIX_TO_POSTGRES_US - layout->epoch_ms * US_PER_MS,
									round_up, tick);
	return sf_layout_tick(layout, unix_us, round_up, tick);
}

/* The same, or an error where the layout has no such tick. */
static uint64
tick_of_timestamp(const SfLayout *layout, TimestampTz timestamp, bool round_up)
{
	uint64_t	tick = 0;
	SfTickStatus status;

	if (TIMESTAMP_NOT_FINITE(timestamp))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp of a snowflake ID must be finite")));

	status = sf_timestamp_tick(layout, timestamp, round_up, &tick);
	if (status == SF_TICK_BEFORE_EPOCH)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp is before the epoch of the layout: %s",
						timestamptz_to_str(timestamp)),
				 errdetail("The epoch is %s.",
						   timestamptz_to_str(sf_tick_timestamp(layout, 0)))));
	if (status == SF_TICK_AFTER_END)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp is after the end of the layout: %s",
						timestamptz_to_str(timestamp)),
				 errdetail("The layout has %d bits of time.", layout->bits[SF_TIME])));
	return tick;
}

static inline bool
has_node(const SfLayout *layout)
{
	return layout->node_bits > 0;
}

/*
 * snowflake_decode(id bigint [, layout text])
 *	  returns (created_at timestamptz, datacenter_id, worker_id, node_id,
 *			   sequence integer)
 *
 * created_at is the start of the ID's tick.  A field that the layout does not
 * have is NULL.
 *
 * Errors, here and in the functions for one field: 22003 the ID is negative
 * or has more bits than the layout, 22008 its time is beyond timestamps, 22023
 * the layout's text is not one, 55000 no layout given and not preloaded.
 */
Datum
snowflake_decode(PG_FUNCTION_ARGS)
{
	const SfLayout *layout = sf_layout_of_call(fcinfo, 1);
	CallSite   *site = call_site(fcinfo);
	SfParts		parts;
	Datum		values[5];
	bool		nulls[5] = {false};

	if (site->tupdesc == NULL)
	{
		TupleDesc	tupdesc;
		MemoryContext old;

		if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		site->tupdesc = BlessTupleDesc(CreateTupleDescCopy(tupdesc));
		MemoryContextSwitchTo(old);
	}

	split(layout, PG_GETARG_INT64(0), &parts);
	values[0] = TimestampTzGetDatum(sf_tick_timestamp(layout, parts.tick));
	values[1] = Int32GetDatum(parts.datacenter);
	nulls[1] = !sf_layout_has(layout, SF_DATACENTER);
	values[2] = Int32GetDatum(parts.worker);
	nulls[2] = !sf_layout_has(layout, SF_WORKER);
	values[3] = Int32GetDatum(parts.node);
	nulls[3] = !has_node(layout);
	values[4] = Int32GetDatum(parts.sequence);
	nulls[4] = !sf_layout_has(layout, SF_SEQUENCE);

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(site->tupdesc, values, nulls)));
}

/* snowflake_timestamp(id bigint [, layout text]) returns timestamptz */
Datum
snowflake_timestamp(PG_FUNCTION_ARGS)
{
	const SfLayout *layout = sf_layout_of_call(fcinfo, 1);

	PG_RETURN_TIMESTAMPTZ(sf_tick_timestamp(layout, tick_of_id(layout, PG_GETARG_INT64(0))));
}

/* snowflake_node(id bigint [, layout text]) returns integer */
Datum
snowflake_node(PG_FUNCTION_ARGS)
{
	const SfLayout *layout = sf_layout_of_call(fcinfo, 1);
	SfParts		parts;

	split(layout, PG_GETARG_INT64(0), &parts);
	if (!has_node(layout))
		PG_RETURN_NULL();
	PG_RETURN_INT32(parts.node);
}

/* snowflake_datacenter(id bigint [, layout text]) returns integer */
Datum
snowflake_datacenter(PG_FUNCTION_ARGS)
{
	const SfLayout *layout = sf_layout_of_call(fcinfo, 1);
	SfParts		parts;

	split(layout, PG_GETARG_INT64(0), &parts);
	if (!sf_layout_has(layout, SF_DATACENTER))
		PG_RETURN_NULL();
	PG_RETURN_INT32(parts.datacenter);
}

/* snowflake_worker(id bigint [, layout text]) returns integer */
Datum
snowflake_worker(PG_FUNCTION_ARGS)
{
	const SfLayout *layout = sf_layout_of_call(fcinfo, 1);
	SfParts		parts;

	split(layout, PG_GETARG_INT64(0), &parts);
	if (!sf_layout_has(layout, SF_WORKER))
		PG_RETURN_NULL();
	PG_RETURN_INT32(parts.worker);
}

/* snowflake_sequence(id bigint [, layout text]) returns integer */
Datum
snowflake_sequence(PG_FUNCTION_ARGS)
{
	const SfLayout *layout = sf_layout_of_call(fcinfo, 1);
	SfParts		parts;

	split(layout, PG_GETARG_INT64(0), &parts);
	if (!sf_layout_has(layout, SF_SEQUENCE))
		PG_RETURN_NULL();
	PG_RETURN_INT32(parts.sequence);
}

static int64
checked_id(uint64 id)
{
	if (id > PG_INT64_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("snowflake ID does not fit into bigint"),
				 errdetail("In this layout, IDs with this time need the sign bit.")));
	return (int64) id;
}

static uint32
checked_field(const char *name, int32 value, int bits)
{
	uint32		max = sf_max_value(bits);

	if (value < 0 || (uint32) value > max)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s %d is out of range for the layout", name, value),
				 errdetail("It must be between 0 and %u.", max)));
	return value;
}

/*
 * snowflake_encode(created_at timestamptz, node_id integer, sequence integer
 *					[, layout text]) returns bigint
 *
 * The ID with these values; the inverse of snowflake_decode().  A created_at
 * within a tick gives that tick.  Nothing keeps such an ID from being made a
 * second time, by this function or by snowflake_next().
 *
 * Errors: 22008 created_at is infinite or outside the layout, 22003 another
 * value is, or the ID needs the sign bit, 0A000 the layout has a tail.
 */
Datum
snowflake_encode(PG_FUNCTION_ARGS)
{
	const SfLayout *layout = sf_layout_of_call(fcinfo, 3);
	uint64		tick;
	uint32		node;
	uint32		sequence;

	if (sf_layout_has(layout, SF_TAIL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("IDs of a layout with a tail cannot be encoded"),
				 errdetail("What the tail's bits mean is not known.")));

	tick = tick_of_timestamp(layout, PG_GETARG_TIMESTAMPTZ(0), false);
	node = checked_field("node ID", PG_GETARG_INT32(1), layout->node_bits);
	sequence = checked_field("sequence", PG_GETARG_INT32(2), layout->bits[SF_SEQUENCE]);
	PG_RETURN_INT64(checked_id(sf_layout_compose(layout, tick, node, sequence)));
}

/* What snowflake_lower() does, in a layout that is known. */
int64
sf_lower_id(const SfLayout *layout, TimestampTz instant)
{
	uint64		tick = tick_of_timestamp(layout, instant, true);

	return checked_id(sf_layout_compose(layout, tick, 0, 0));
}

/*
 * snowflake_lower(instant timestamptz [, layout text]) returns bigint
 *
 * The smallest ID whose time is not before the instant, so that
 * id >= snowflake_lower(t) holds just where snowflake_timestamp(id) >= t does.
 *
 * Errors: 22008 the instant is infinite or outside the layout, 22003 the ID
 * would not fit into bigint.
 */
Datum
snowflake_lower(PG_FUNCTION_ARGS)
{
	const SfLayout *layout = sf_layout_of_call(fcinfo, 1);

	PG_RETURN_INT64(sf_lower_id(layout, PG_GETARG_TIMESTAMPTZ(0)));
}
