/*-------------------------------------------------------------------------
 *
 * status.c
 *	  The functions under the views snowflake_status and snowflake_layouts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "clock.h"
#include "decode.h"
#include "fmgr.h"
#include "funcapi.h"
#include "guc.h"
#include "horizon.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "node.h"
#include "shared.h"
#include "step.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "version.h"

#define JS_SAFE_BITS	53		/* integers of a double */
#define MS_PER_SECOND	1000
#define US_PER_MS		1000

PG_FUNCTION_INFO_V1(snowflake_status);
PG_FUNCTION_INFO_V1(snowflake_layouts);

/* A row under construction, filled from left to right. */
typedef struct Row
{
	int			n;
	Datum		values[48];
	bool		nulls[48];
} Row;

static void
put(Row *row, Datum value)
{
	row->nulls[row->n] = false;
	row->values[row->n++] = value;
}

static void
put_null(Row *row)
{
	row->nulls[row->n] = true;
	row->values[row->n++] = (Datum) 0;
}

static void
put_text(Row *row, const char *value)
{
	if (value != NULL)
		put(row, CStringGetTextDatum(value));
	else
		put_null(row);
}

static void
put_interval_us(Row *row, int64 us)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = us;
	put(row, IntervalPGetDatum(interval));
}

static void
put_layout(Row *row, const SfLayout *layout)
{
	char		buf[SF_LAYOUT_TEXT_SIZE];

	sf_layout_format(layout, buf);
	put_text(row, buf);
}

static const char *
node_source(SfNodeSetting setting)
{
	switch (setting)
	{
		case SF_NODE_BY_ID:
			return "snowflake.node_id";
		case SF_NODE_BY_PARTS:
			return "snowflake.datacenter_id, snowflake.worker_id";
		case SF_NODE_LEASED:
			return "lease";
		case SF_NODE_UNSET:
			break;
	}
	return NULL;
}

/*
 * What the settings ask for that is not in force, as text, or NULL.  It comes
 * into force when the server is restarted.
 */
static const char *
pending(uint64 grant)
{
	StringInfoData text;
	SfLayout	layout;
	SfNodeSetting in_force = pg_atomic_read_u32(&sf_shared->node_setting);
	uint32_t	node;

	initStringInfo(&text);
	sf_guc_layout(&layout);
	if (!sf_layout_equal(&layout, &sf_shared->layout))
	{
		char		buf[SF_LAYOUT_TEXT_SIZE];

		sf_layout_format(&layout, buf);
		appendStringInfo(&text, "layout %s", buf);
	}

	/* A contradiction is no news here: it is reported where IDs are made. */
	if (in_force != SF_NODE_UNSET)
	{
		uint32		current = sf_shared->leased ? sf_shared->lease_static_node :
		sf_grant_node(&sf_shared->layout, grant);

		if (sf_guc_node(&layout, DEBUG1, &node) == SF_NODE_UNSET)
		{
			if (in_force != SF_NODE_LEASED)
				appendStringInfo(&text, "%snode ID not set or not valid", text.len > 0 ? "; " : "");
		}
		else if (in_force == SF_NODE_LEASED || node != current)
			appendStringInfo(&text, "%snode ID %u", text.len > 0 ? "; " : "", node);
	}
	return text.len > 0 ? text.data : NULL;
}

/* The columns of the lease; NULL where no module leases the node ID. */
static void
put_lease(Row *row, uint64 grant)
{
	const SfLayout *layout = &sf_shared->layout;
	SfLeaseState state = pg_atomic_read_u32(&sf_shared->lease_state);
	uint64		round_trip = pg_atomic_read_u64(&sf_shared->lease_round_trip_us);
	char		error[SF_LEASE_ERROR_SIZE];

	if (!sf_shared->leased)
	{
		put_text(row, sf_lease_state_name(SF_LEASE_OFF));
		for (int i = 0; i < 5; i++)
			put_null(row);
		return;
	}

	put_text(row, sf_lease_state_name(state));
	if (grant != SF_GRANT_NONE)
	{
		TimestampTz now = time_t_to_timestamptz(0) + sf_clock_us();

		put(row, Int64GetDatum(pg_atomic_read_u64(&sf_shared->lease_claim)));
		put_interval_us(row, sf_tick_timestamp(layout, sf_grant_last_tick(layout, grant) + 1) - now);
	}
	else
	{
		put_null(row);
		put_null(row);
	}
	put(row, Int64GetDatum(pg_atomic_read_u64(&sf_shared->lease_fenced)));
	sf_lease_error(error);
	put_text(row, error[0] != '\0' ? error : NULL);
	if (round_trip != 0)
		put_interval_us(row, round_trip);
	else
		put_null(row);
}

/*
 * snowflake_status() returns one row; the view of that name explains the
 * columns.  Other sessions go on while it reads, so the numbers need not be
 * of the same moment.
 *
 * Errors: 55000 not preloaded.
 */
Datum
snowflake_status(PG_FUNCTION_ARGS)
{
	const SfLayout *layout;
	TupleDesc	tupdesc;
	Row			row = {0};
	uint64		grant;
	uint64		state;
	TimestampTz horizon;
	TimestampTz raised_at;
	SfClockSync sync;
	uint64		issued = 0;
	uint64		refusals = 0;
	uint64		waits[SF_NUM_WAIT_CAUSES] = {0};
	uint64		waited_us[SF_NUM_WAIT_CAUSES] = {0};

	sf_shared_attach();
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	layout = &sf_shared->layout;
	grant = pg_atomic_read_u64(&sf_shared->grant);
	state = pg_atomic_read_u64(&sf_shared->state);
	for (int i = 0; i < MaxBackends; i++)
	{
		SfCounters *counters = &sf_shared->counters[i];

		issued += pg_atomic_read_u64(&counters->issued);
		refusals += pg_atomic_read_u64(&counters->refusals);
		for (int c = 0; c < SF_NUM_WAIT_CAUSES; c++)
		{
			waits[c] += pg_atomic_read_u64(&counters->waits[c]);
			waited_us[c] += pg_atomic_read_u64(&counters->waited_us[c]);
		}
	}

	put_text(&row, SF_VERSION);
	put_text(&row, sf_version_of_objects(fcinfo->flinfo->fn_oid));
	if (grant != SF_GRANT_NONE)
		put(&row, Int32GetDatum(sf_grant_node(layout, grant)));
	else
		put_null(&row);
	put_text(&row, node_source(pg_atomic_read_u32(&sf_shared->node_setting)));
	put_layout(&row, layout);
	put_text(&row, pending(grant));

	if ((state & ~SF_STATE_CLOSED) != 0)
	{
		TimestampTz last = sf_tick_timestamp(layout, sf_state_tick(layout, state));
		TimestampTz now = time_t_to_timestamptz(0) + sf_clock_us();

		put(&row, TimestampTzGetDatum(last));
		put_interval_us(&row, now - last);
	}
	else
	{
		put_null(&row);
		put_null(&row);
	}

	if (sf_horizon_read(fcinfo->flinfo->fn_oid, &horizon))
		put(&row, TimestampTzGetDatum(horizon));
	else
		put_null(&row);
	put(&row, Int64GetDatum(pg_atomic_read_u64(&sf_shared->horizon_extensions)));
	put(&row, Float8GetDatum((double) pg_atomic_read_u64(&sf_shared->horizon_us) / US_PER_MS));
	raised_at = pg_atomic_read_u64(&sf_shared->horizon_raised_at);
	if (raised_at != 0)
		put(&row, TimestampTzGetDatum(raised_at));
	else
		put_null(&row);

	put(&row, Int64GetDatum(issued));
	for (int c = 0; c < SF_NUM_WAIT_CAUSES; c++)
	{
		put(&row, Int64GetDatum(waits[c]));
		put(&row, Float8GetDatum((double) waited_us[c] / US_PER_MS));
	}
	put(&row, Int64GetDatum(refusals));
	put(&row, Int64GetDatum(pg_atomic_read_u64(&sf_shared->clock_steps_back)));
	put_interval_us(&row, pg_atomic_read_u64(&sf_shared->largest_step_back_us));

	sf_clock_sync(&sync);
	if (sync.known)
	{
		put(&row, BoolGetDatum(sync.synchronized));
		put_text(&row, sync.state);
		put_interval_us(&row, sync.estimated_error_us);
		put_interval_us(&row, sync.maximum_error_us);
	}
	else
	{
		for (int i = 0; i < 4; i++)
			put_null(&row);
	}
	put(&row, TimestampTzGetDatum(sf_shared->initialized));
	put_lease(&row, grant);

	/* A library of another version than the SQL objects must not crash here. */
	if (row.n != tupdesc->natts)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("snowflake_status() is of another version than the library"),
				 errdetail("It has %d columns, the library of version %s has %d.",
						   tupdesc->natts, SF_VERSION, row.n),
				 errhint("Restart the server if the library was replaced, then run ALTER EXTENSION snowflake UPDATE.")));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
													  row.values, row.nulls)));
}

/* The instant at which IDs of the layout reach that bit, NULL if they never do. */
static void
put_reaches_bit(Row *row, const SfLayout *layout, int bit)
{
	if (bit < layout->total_bits && bit >= layout->shift[SF_TIME])
		put(row, TimestampTzGetDatum(sf_tick_timestamp(layout, UINT64CONST(1) << (bit - layout->shift[SF_TIME]))));
	else
		put_null(row);
}

/*
 * snowflake_layouts() returns a row for each preset; the view of that name
 * explains the columns.  Depends on nothing but the library.
 */
Datum
snowflake_layouts(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < sf_layout_preset_count(); i++)
	{
		const SfPreset *preset = sf_layout_preset(i);
		const SfLayout *layout = &preset->layout;
		Row			row = {0};

		put_text(&row, preset->name);
		put_text(&row, preset->origin);
		put_layout(&row, layout);
		put(&row, BoolGetDatum(sf_layout_can_issue(layout)));
		if (sf_layout_has(layout, SF_SEQUENCE))
			put(&row, Int64GetDatum(((int64) 1 << layout->bits[SF_SEQUENCE]) * MS_PER_SECOND / layout->tick_ms));
		else
			put_null(&row);
		if (layout->node_bits > 0)
			put(&row, Int64GetDatum((int64) 1 << layout->node_bits));
		else
			put_null(&row);
		put(&row, TimestampTzGetDatum(sf_tick_timestamp(layout, sf_max_value(layout->bits[SF_TIME]) + 1)));
		put_reaches_bit(&row, layout, JS_SAFE_BITS);
		put_reaches_bit(&row, layout, SF_MAX_ISSUED_BITS);

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values, row.nulls);
	}
	return (Datum) 0;
}
