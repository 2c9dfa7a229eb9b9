/*-------------------------------------------------------------------------
 *
 * lease.c
 *	  The grant of a leased node ID: what a leasing module does to the two
 *	  words of shared memory.
 *
 * The words are the state (tick and sequence of the last ID, and whether it
 * is closed) and the grant (node ID, and the last tick that it may be used
 * for).  Backends read the state, then the grant, then exchange the state; the
 * exchange that succeeds proves that the grant they read was in force.  That
 * holds as long as the words are changed in the order that is given below,
 * which is the order of test/model/words.pml.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "clock.h"
#include "fmgr.h"
#include "guc.h"
#include "lease.h"
#include "miscadmin.h"
#include "node.h"
#include "shared.h"
#include "step.h"
#include "utils/acl.h"

extern PGDLLEXPORT const SfLeaseApi *sf_lease_api(void);

/*
 * Set in the postmaster and inherited by all its children; with it the node ID
 * of the settings as they were then, so that all have the same.
 */
static bool enabled = false;
static SfNodeSetting static_setting = SF_NODE_LEASED;
static uint32_t static_node = 0;

static const char *const state_names[] = {
	[SF_LEASE_OFF] = "off",
	[SF_LEASE_CONNECTING] = "connecting",
	[SF_LEASE_CLAIMING] = "claiming",
	[SF_LEASE_HELD] = "held",
	[SF_LEASE_FENCED] = "fenced",
	[SF_LEASE_REFUSED] = "refused",
	[SF_LEASE_RELEASED] = "released",
};

const char *
sf_lease_state_name(SfLeaseState state)
{
	return state_names[state];
}

static void
enable(void)
{
	SfLayout	layout;

	enabled = true;
	sf_guc_layout(&layout);
	static_setting = sf_guc_node(&layout, FATAL, &static_node);
	if (static_setting == SF_NODE_UNSET)
		static_setting = SF_NODE_LEASED;
}

/* Called where the shared memory is initialised. */
void
sf_lease_initialize(SfShared *shared)
{
	shared->leased = enabled;
	pg_atomic_init_u32(&shared->lease_state, enabled ? SF_LEASE_CONNECTING : SF_LEASE_OFF);
	pg_atomic_init_u64(&shared->lease_claim, 0);
	pg_atomic_init_u64(&shared->lease_fenced, 0);
	pg_atomic_init_u64(&shared->lease_round_trip_us, 0);
	SpinLockInit(&shared->lease_error_lock);
	ConditionVariableInit(&shared->lease_changed);
	if (!enabled)
		return;

	shared->lease_static_node = static_node;
	pg_atomic_write_u32(&shared->node_setting, static_setting);
	if (!pg_strong_random(shared->lease_nonce, sizeof(shared->lease_nonce)))
		elog(ERROR, "could not generate a random nonce");
}

/* ---- what the module asks ----------------------------------------------- */

static void
layout_text(char buf[SF_LAYOUT_TEXT_SIZE])
{
	sf_layout_format(&sf_shared->layout, buf);
}

static uint32_t
max_node(void)
{
	return sf_max_value(sf_shared->layout.node_bits);
}

static bool
get_static_node(uint32_t *node)
{
	*node = sf_shared->lease_static_node;
	return pg_atomic_read_u32(&sf_shared->node_setting) != SF_NODE_LEASED;
}

static const uint8_t *
nonce(void)
{
	return sf_shared->lease_nonce;
}

/* Ticks before the end of the epoch's first one count as that one. */
static int64_t
tick_end(int64_t ms)
{
	const SfLayout *layout = &sf_shared->layout;
	int64_t		since = Max(ms - layout->epoch_ms, 0);

	return layout->epoch_ms + (since / layout->tick_ms + 1) * layout->tick_ms;
}

static int64_t
max_lead(void)
{
	return sf_max_lead_ms;
}

static SfLeaseFound
found(void)
{
	const SfLayout *layout = &sf_shared->layout;
	uint64		state = pg_atomic_read_u64(&sf_shared->state);
	uint64		grant = pg_atomic_read_u64(&sf_shared->grant);

	return (SfLeaseFound)
	{
		.closed = (state & SF_STATE_CLOSED) != 0,
			.granted = grant != SF_GRANT_NONE,
			.node = sf_grant_node(layout, grant),
			.claim = (int64_t) pg_atomic_read_u64(&sf_shared->lease_claim)
	};
}

/* ---- what the module does ----------------------------------------------- */

/* The first tick that does not start before an instant. */
static uint64
first_tick_from(const SfLayout *layout, int64_t ms)
{
	uint64		since;

	if (ms <= layout->epoch_ms)
		return 0;
	since = (uint64) ms - (uint64) layout->epoch_ms;
	return since / layout->tick_ms + (since % layout->tick_ms != 0);
}

/* How many ticks, from the epoch on, end at or before an instant. */
static uint64
ticks_until(const SfLayout *layout, int64_t ms)
{
	if (ms <= layout->epoch_ms)
		return 0;
	return ((uint64) ms - (uint64) layout->epoch_ms) / layout->tick_ms;
}

/*
 * Put a lease into force that is known to be ours, or a larger high end of the
 * one that is.
 */
static void
publish(uint32_t node, int64_t claim, int64_t low, int64_t high)
{
	const SfLayout *layout = &sf_shared->layout;
	uint64		max_tick = sf_max_value(layout->bits[SF_TIME]);
	uint32		max_sequence = sf_max_value(layout->bits[SF_SEQUENCE]);
	uint64		first = Min(first_tick_from(layout, low), max_tick + 1);
	uint64		end = Min(ticks_until(layout, high), max_tick + 1);
	uint64		state = pg_atomic_read_u64(&sf_shared->state);
	uint64		grant = end > 0 ? sf_grant_pack(layout, node, end - 1) : SF_GRANT_NONE;

	pg_atomic_write_u64(&sf_shared->lease_claim, (uint64) claim);

	if (state & SF_STATE_CLOSED)
	{
		/*
		 * Opened again only with the new grant in place, or a backend could
		 * take an ID with what it had read of the old one; and strictly above
		 * the state that was closed, so that no exchange prepared before can
		 * succeed.  While it is closed nobody else changes it, so a plain
		 * write does.  A tick past the layout's last is as good as the last.
		 */
		uint64		tick = Max(sf_state_tick(layout, state) + 1, first > 0 ? first - 1 : 0);

		pg_atomic_write_u64(&sf_shared->grant, grant);
		pg_memory_barrier();
		pg_atomic_write_u64(&sf_shared->state, sf_state_pack(layout, tick, max_sequence));
	}
	else
	{
		/*
		 * First the ticks up to the low end are used up, since others may
		 * have used them with this node ID, then the grant.  Only this
		 * process closes the state, so it is open still.
		 */
		if (first > 0)
			(void) sf_state_raise(sf_state_pack(layout, first - 1, max_sequence));
		pg_memory_barrier();
		pg_atomic_write_u64(&sf_shared->grant, grant);
	}
	ConditionVariableBroadcast(&sf_shared->lease_changed);
}

/*
 * Make no more IDs until another lease is published.
 *
 * Closing and reading how far the IDs came is one operation: between two, a
 * backend could make one more.  The grant goes after that, not before: it is
 * the closed state that stops those who have read the grant already.
 */
static int64_t
close_state(void)
{
	const SfLayout *layout = &sf_shared->layout;
	uint64		last = pg_atomic_fetch_or_u64(&sf_shared->state, SF_STATE_CLOSED);

	pg_atomic_write_u64(&sf_shared->grant, SF_GRANT_NONE);
	return layout->epoch_ms + (int64_t) (sf_state_tick(layout, last) + 1) * layout->tick_ms;
}

/* ---- what it tells ------------------------------------------------------ */

static void
report_state(SfLeaseState state)
{
	if (pg_atomic_exchange_u32(&sf_shared->lease_state, state) != state)
		ConditionVariableBroadcast(&sf_shared->lease_changed);
}

static void
report_error(const char *text)
{
	SpinLockAcquire(&sf_shared->lease_error_lock);
	strlcpy(sf_shared->lease_error, text, sizeof(sf_shared->lease_error));
	SpinLockRelease(&sf_shared->lease_error_lock);
}

/*
 * The last error that was reported, or an empty string; also where the current
 * user may not see it.  It can name other servers and what an administrator
 * has set, so it is for those who see the activity of all in pg_stat_activity.
 */
void
sf_lease_error(char buf[SF_LEASE_ERROR_SIZE])
{
	buf[0] = '\0';
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS))
		return;
	SpinLockAcquire(&sf_shared->lease_error_lock);
	memcpy(buf, sf_shared->lease_error, SF_LEASE_ERROR_SIZE);
	SpinLockRelease(&sf_shared->lease_error_lock);
}

static void
report_round_trip(int64_t us)
{
	pg_atomic_write_u64(&sf_shared->lease_round_trip_us, (uint64) us);
}

static void
report_fenced(void)
{
	pg_atomic_fetch_add_u64(&sf_shared->lease_fenced, 1);
}

const SfLeaseApi *
sf_lease_api(void)
{
	static const SfLeaseApi api = {
		.version = SF_LEASE_API_VERSION,
		.library_version = SF_VERSION,
		.enable = enable,
		.attach = sf_shared_attach,
		.layout_text = layout_text,
		.max_node = max_node,
		.static_node = get_static_node,
		.nonce = nonce,
		.tick_end = tick_end,
		.max_lead = max_lead,
		.found = found,
		.publish = publish,
		.close = close_state,
		.report_state = report_state,
		.report_error = report_error,
		.report_round_trip = report_round_trip,
		.report_fenced = report_fenced,
		.clock_ms = sf_clock_ms,
		.clock_monotonic_us = sf_clock_monotonic_us,
	};

	return &api;
}
