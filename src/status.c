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
#include "row.h"
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

static void
put_layout(SfRow *row, const SfLayout *layout)
{
	char		buf[SF_LAYOUT_TEXT_SIZE];

	sf_layout_format(layout, buf);
	sf_row_put_text(row, buf);
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
put_lease(SfRow *row, uint64 grant)
{
	const SfLayout *layout = &sf_shared->layout;
	SfLeaseState state = pg_atomic_read_u32(&sf_shared->lease_state);
	uint64		round_trip = pg_atomic_read_u64(&sf_shared->lease_round_trip_us);
	char		error[SF_LEASE_ERROR_SIZE];

	if (!sf_shared->leased)
	{
		sf_row_put_text(row, sf_lease_state_name(SF_LEASE_OFF));
		for (int i = 0; i < 5; i++)
			sf_row_put_null(row);
		return;
	}

	sf_row_put_text(row, sf_lease_state_name(state));
	if (grant != SF_GRANT_NONE)
	{
		TimestampTz now = time_t_to_timestamptz(0) + sf_clock_us();

		sf_row_put(row, Int64GetDatum(pg_atomic_read_u64(&sf_shared->lease_claim)));
		sf_row_put_interval_us(row, sf_tick_timestamp(layout, sf_grant_last_tick(layout, grant) + 1) - now);
	}
	else
	{
		sf_row_put_null(row);
		sf_row_put_null(row);
	}
	sf_row_put(row, Int64GetDatum(pg_atomic_read_u64(&sf_shared->lease_fenced)));
	sf_lease_error(error);
	sf_row_put_text(row, error[0] != '\0' ? error : NULL);
	if (round_trip != 0)
		sf_row_put_interval_us(row, round_trip);
	else
		sf_row_put_null(row);
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
	SfRow		row = {0};
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

	sf_row_put_text(&row, SF_VERSION);
	sf_row_put_text(&row, sf_version_of_objects(fcinfo->flinfo->fn_oid));
	if (grant != SF_GRANT_NONE)
		sf_row_put(&row, Int32GetDatum(sf_grant_node(layout, grant)));
	else
		sf_row_put_null(&row);
	sf_row_put_text(&row, node_source(pg_atomic_read_u32(&sf_shared->node_setting)));
	put_layout(&row, layout);
	sf_row_put_text(&row, pending(grant));

	if ((state & ~SF_STATE_CLOSED) != 0)
	{
		TimestampTz last = sf_tick_timestamp(layout, sf_state_tick(layout, state));
		TimestampTz now = time_t_to_timestamptz(0) + sf_clock_us();

		sf_row_put(&row, TimestampTzGetDatum(last));
		sf_row_put_interval_us(&row, now - last);
	}
	else
	{
		sf_row_put_null(&row);
		sf_row_put_null(&row);
	}

	if (sf_horizon_read(fcinfo->flinfo->fn_oid, &horizon))
		sf_row_put(&row, TimestampTzGetDatum(horizon));
	else
		sf_row_put_null(&row);
	sf_row_put(&row, Int64GetDatum(pg_atomic_read_u64(&sf_shared->horizon_extensions)));
	sf_row_put(&row, Float8GetDatum((double) pg_atomic_read_u64(&sf_shared->horizon_us) / US_PER_MS));
	raised_at = pg_atomic_read_u64(&sf_shared->horizon_raised_at);
	if (raised_at != 0)
		sf_row_put(&row, TimestampTzGetDatum(raised_at));
	else
		sf_row_put_null(&row);

	sf_row_put(&row, Int64GetDatum(issued));
	for (int c = 0; c < SF_NUM_WAIT_CAUSES; c++)
	{
		sf_row_put(&row, Int64GetDatum(waits[c]));
		sf_row_put(&row, Float8GetDatum((double) waited_us[c] / US_PER_MS));
	}
	sf_row_put(&row, Int64GetDatum(refusals));
	sf_row_put(&row, Int64GetDatum(pg_atomic_read_u64(&sf_shared->clock_steps_back)));
	sf_row_put_interval_us(&row, pg_atomic_read_u64(&sf_shared->largest_step_back_us));

	sf_clock_sync(&sync);
	if (sync.known)
	{
		sf_row_put(&row, BoolGetDatum(sync.synchronized));
		sf_row_put_text(&row, sync.state);
		sf_row_put_interval_us(&row, sync.estimated_error_us);
		sf_row_put_interval_us(&row, sync.maximum_error_us);
	}
	else
	{
		for (int i = 0; i < 4; i++)
			sf_row_put_null(&row);
	}
	sf_row_put(&row, TimestampTzGetDatum(sf_shared->initialized));
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
put_reaches_bit(SfRow *row, const SfLayout *layout, int bit)
{
	if (bit < layout->total_bits && bit >= layout->shift[SF_TIME])
		sf_row_put(row, TimestampTzGetDatum(sf_tick_timestamp(layout, UINT64CONST(1) << (bit - layout->shift[SF_TIME]))));
	else
		sf_row_put_null(row);
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
		SfRow		row = {0};

		sf_row_put_text(&row, preset->name);
		sf_row_put_text(&row, preset->origin);
		put_layout(&row, layout);
		sf_row_put(&row, BoolGetDatum(sf_layout_can_issue(layout)));
		if (sf_layout_has(layout, SF_SEQUENCE))
			sf_row_put(&row, Int64GetDatum(((int64) 1 << layout->bits[SF_SEQUENCE]) * MS_PER_SECOND / layout->tick_ms));
		else
			sf_row_put_null(&row);
		if (layout->node_bits > 0)
			sf_row_put(&row, Int64GetDatum((int64) 1 << layout->node_bits));
		else
			sf_row_put_null(&row);
		sf_row_put(&row, TimestampTzGetDatum(sf_tick_timestamp(layout, sf_max_value(layout->bits[SF_TIME]) + 1)));
		put_reaches_bit(&row, layout, JS_SAFE_BITS);
		put_reaches_bit(&row, layout, SF_MAX_ISSUED_BITS);

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values, row.nulls);
	}
	return (Datum) 0;
}
