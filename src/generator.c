/*-------------------------------------------------------------------------
 *
 * generator.c
 *	  Making IDs: the loop around the pure step, waiting, and refusing.
 *
 * No lock is taken and no memory is allocated on the way to an ID.  Backends
 * meet only in the compare-exchange of sf_shared->state.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "clock.h"
#include "common/pg_prng.h"
#include "compat.h"
#include "generator.h"
#include "guc.h"
#include "horizon.h"
#include "miscadmin.h"
#include "node.h"
#include "pgstat.h"
#include "step.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "utils/lsyscache.h"
#include "utils/wait_event.h"

#define US_PER_MS				1000
#define MS_PER_SECOND			1000
#define US_PER_SECOND			1000000

/* A change of the clock's offset that is not only the noise of reading it. */
#define CLOCK_NOISE_US			1000

/* Between two readings of the offset: we may have been interrupted. */
#define CLOCK_TOLERANCE_US		100000

/* How often each backend looks whether the clock was set. */
#define CLOCK_CHECK_MS			1000

/* Long waits are cut, since a clock that is set right ends them early. */
#define LONGEST_NAP_MS			100

/* What is left of a wait when it is slept exactly. */
#define EXACT_NAP_MS			2

/* Who waits for a lease is woken; this is for a wake-up that was missed. */
#define LEASE_NAP_MS			100

/* A wait that is going on; begun_us is 0 before there is one. */
typedef struct Wait
{
	int64		begun_us;
	int64		counted_us;
	bool		for_lease;		/* there was one for a lease */
} Wait;

/*
 * Our own slot in sf_shared->counters; NULL before this backend may make IDs,
 * which takes the memory, and that the server is not in recovery.
 */
static SfCounters *counters = NULL;

/*
 * The clock as this backend last saw it, and when to look at its offset
 * again, both in milliseconds since 1970.
 */
static int64 clock_seen = 0;
static int64 clock_check_due = 0;

SfLastClaim sf_last = {.now = SF_NO_MILLISECOND};

static void
prepare(Oid function)
{
	sf_shared_attach();
	if (RecoveryInProgress())
		PreventCommandDuringRecovery(psprintf("%s()", get_func_name(function)));
	counters = sf_my_counters();
}

/* The tick of a clock reading; negative before the epoch. */
static inline int64
tick_of_ms(const SfLayout *layout, int64 unix_ms)
{
	int64		since = unix_ms - layout->epoch_ms;

	if (likely(layout->tick_ms == 1) || since < 0)
		return since;
	return since / layout->tick_ms;
}

/* No division in the usual cases, on the path of every ID. */
static inline uint64
lead_ticks(const SfLayout *layout)
{
	if (likely(sf_max_lead_ms == 0 || layout->tick_ms == 1))
		return sf_max_lead_ms;
	return sf_max_lead_ms / layout->tick_ms;
}

static inline int64
tick_start_us(const SfLayout *layout, uint64 tick)
{
	return (layout->epoch_ms + (int64) tick * layout->tick_ms) * US_PER_MS;
}

static inline double
seconds(int64 us)
{
	return (double) us / US_PER_SECOND;
}

/*
 * Look whether somebody has set the clock since anyone last looked.
 *
 * A step back is counted, once however many backends notice it; what it means
 * for IDs is up to sf_step().  A step forward that is larger than allowed is
 * refused before an ID carries it into the state, from where nothing but time
 * could take it away.  It must be larger both against CLOCK_BOOTTIME and
 * against the last ID: a clock that is set back and then right again has not
 * jumped.
 */
static void
check_clock(int64 now_ms, uint64 state)
{
	const SfLayout *layout = &sf_shared->layout;
	uint64		known = pg_atomic_read_u64(&sf_shared->clock_offset_us);
	int64		offset = sf_clock_offset_us();
	int64		change = offset - (int64) known;
	int64		max_jump_us = (int64) sf_max_jump_s * US_PER_SECOND;

	/* Judged by the very reading that the ID would carry. */
	int64		judged = now_ms * US_PER_MS - sf_clock_boottime_us();
	int64		jump = judged - (int64) known;

	if (max_jump_us > 0 && jump > max_jump_us && state != 0 &&
		now_ms * US_PER_MS - tick_start_us(layout, sf_state_tick(layout, state)) > max_jump_us)
	{
		sf_count(&counters->refusals, 1);
		ereport(ERROR,
				(errcode(SF_ERRCODE_CLOCK_JUMPED),
				 errmsg("the clock jumped forward by %.3f s", seconds(jump)),
				 errdetail("\"snowflake.max_jump\" allows %d s; an ID with a time in the future would keep all later ones from being made until then.",
						   sf_max_jump_s),
				 errhint("Set the clock right. If it is right now, a superuser can call snowflake_accept_clock().")));
	}

	/*
	 * Set between the two readings?  Then it is not for the one that was
	 * judged to vouch for the other: look again at the next call.
	 */
	if (offset - judged > CLOCK_TOLERANCE_US || judged - offset > CLOCK_TOLERANCE_US)
		return;

	if (change < -CLOCK_NOISE_US || change > CLOCK_NOISE_US)
	{
		/* The exchange fails where another backend has seen the same step. */
		if (pg_atomic_compare_exchange_u64(&sf_shared->clock_offset_us, &known, (uint64) offset) &&
			change < 0)
		{
			uint64		largest = pg_atomic_read_u64(&sf_shared->largest_step_back_us);

			pg_atomic_fetch_add_u64(&sf_shared->clock_steps_back, 1);
			while ((uint64) -change > largest &&
				   !pg_atomic_compare_exchange_u64(&sf_shared->largest_step_back_us,
												   &largest, (uint64) -change))
				;
		}
	}
	clock_check_due = now_ms + CLOCK_CHECK_MS;
}

/* Take the clock as it is now for right, however far it jumped. */
void
sf_generator_accept_clock(void)
{
	sf_shared_attach();
	pg_atomic_write_u64(&sf_shared->clock_offset_us, (uint64) sf_clock_offset_us());
}

static void
refuse_wait(SfStepResult why, const SfStep *step, int64 remaining_us)
{
	const SfLayout *layout = &sf_shared->layout;

	sf_count(&counters->refusals, 1);
	if (why == SF_STEP_CLOCK_BEHIND)
		ereport(ERROR,
				(errcode(SF_ERRCODE_CLOCK_BEHIND),
				 errmsg("the clock is %.3f s behind the last ID",
						seconds((int64) step->behind * layout->tick_ms * US_PER_MS)),
				 errdetail("IDs can be made again in %.3f s; \"snowflake.max_wait\" is %d ms and \"snowflake.max_lead\" is %d ms.",
						   seconds(remaining_us), sf_max_wait_ms, sf_max_lead_ms),
				 errhint("Check the server's time synchronization.")));
	ereport(ERROR,
			(errcode(SF_ERRCODE_SEQUENCE_USED_UP),
			 errmsg("all sequence numbers of this tick are used up"),
			 errdetail("The layout has %u IDs per tick of %d ms; \"snowflake.max_wait\" is %d ms and \"snowflake.max_lead\" is %d ms.",
					   (uint32) sf_max_value(layout->bits[SF_SEQUENCE]) + 1, layout->tick_ms,
					   sf_max_wait_ms, sf_max_lead_ms),
			 errhint("Raise \"snowflake.max_wait\" or \"snowflake.max_lead\", or use a layout with more sequence bits.")));
}

/*
 * Sleep until the clock may have reached step->tick, or a part of that, or
 * raise an error where that would take longer than allowed.  The time waited
 * is counted on the way, so that a cancelled wait is counted too.
 */
static void
wait_for_clock(Wait *wait, SfStepResult why, const SfStep *step)
{
	static uint32 wait_event = 0;
	SfWaitCause cause = why == SF_STEP_CLOCK_BEHIND ? SF_WAIT_CLOCK : SF_WAIT_SEQUENCE;
	int64		now_us = sf_clock_monotonic_us();
	int64		remaining_us = tick_start_us(&sf_shared->layout, step->tick) - sf_clock_us();
	int64		allowed_us = (int64) sf_max_wait_ms * US_PER_MS;

	CHECK_FOR_INTERRUPTS();

	if (wait->begun_us != 0)
		allowed_us -= now_us - wait->begun_us;
	if (allowed_us <= 0 || remaining_us > allowed_us)
		refuse_wait(why, step, remaining_us);
	if (remaining_us <= 0)
		return;

	if (wait->begun_us == 0)
	{
		wait->begun_us = wait->counted_us = now_us;
		sf_count(&counters->waits[cause], 1);
	}
	if (wait_event == 0)
		wait_event = sf_wait_event_new("SnowflakeClock");

	/*
	 * The last milliseconds are slept exactly: the latch's timeout would be
	 * rounded up to a whole one, and a tick would be lost each time.
	 */
	if (remaining_us > EXACT_NAP_MS * US_PER_MS)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(remaining_us / US_PER_MS - 1, LONGEST_NAP_MS), wait_event);
		ResetLatch(MyLatch);
	}
	else
	{
		pgstat_report_wait_start(wait_event);
		pg_usleep(remaining_us);
		pgstat_report_wait_end();
	}

	now_us = sf_clock_monotonic_us();
	sf_count(&counters->waited_us[cause], now_us - wait->counted_us);
	wait->counted_us = now_us;
}

/*
 * Wait until the database's horizon, the tick begin, is no further ahead of
 * the clock than an ID may be.
 */
static pg_noinline void
wait_for_horizon(Wait *wait, uint64 begin, uint64 now)
{
	uint64		lead = lead_ticks(&sf_shared->layout);

	if (begin > now + lead)
	{
		SfStep		step = {.tick = begin - lead, .behind = begin - now};

		wait_for_clock(wait, SF_STEP_CLOCK_BEHIND, &step);
	}
}

static void
refuse_lease(uint64 grant)
{
	SfLeaseState state = pg_atomic_read_u32(&sf_shared->lease_state);
	char		error[SF_LEASE_ERROR_SIZE];
	const char *hint = "IDs are made again as soon as the lease is; see snowflake_status.";

	sf_lease_error(error);
	if (state == SF_LEASE_RELEASED)
		hint = "An administrator can claim a node ID anew.";

	sf_count(&counters->refusals, 1);
	ereport(ERROR,
			(errcode(SF_ERRCODE_NO_LEASE),
			 grant == SF_GRANT_NONE ?
			 errmsg("no node ID is leased to this server") :
			 errmsg("the lease of node ID %u has run out", sf_grant_node(&sf_shared->layout, grant)),
			 error[0] == '\0' ?
			 errdetail("The state of the lease is \"%s\"; \"snowflake.max_wait\" is %d ms.",
					   sf_lease_state_name(state), sf_max_wait_ms) :
			 errdetail("The state of the lease is \"%s\", the last error: %s; \"snowflake.max_wait\" is %d ms.",
					   sf_lease_state_name(state), error, sf_max_wait_ms),
			 errhint("%s", hint)));
}

/*
 * Sleep until a lease may have come that this call can use, or raise an error
 * where none is in sight or it takes longer than allowed.  The words are those
 * that were read.
 */
static pg_noinline void
wait_for_lease(Wait *wait, uint64 state, uint64 grant)
{
	static uint32 wait_event = 0;
	SfLeaseState lease = pg_atomic_read_u32(&sf_shared->lease_state);
	int64		now_us = sf_clock_monotonic_us();
	int64		allowed_us = (int64) sf_max_wait_ms * US_PER_MS;

	CHECK_FOR_INTERRUPTS();

	if (wait->begun_us != 0)
		allowed_us -= now_us - wait->begun_us;
	if (allowed_us <= 0 || lease == SF_LEASE_REFUSED || lease == SF_LEASE_RELEASED)
		refuse_lease(grant);

	if (wait->begun_us == 0)
		wait->begun_us = now_us;
	if (!wait->for_lease)
	{
		wait->for_lease = true;
		sf_count(&counters->waits[SF_WAIT_LEASE], 1);
	}
	if (wait_event == 0)
		wait_event = sf_wait_event_new("SnowflakeLease");

	ConditionVariablePrepareToSleep(&sf_shared->lease_changed);
	if (pg_atomic_read_u64(&sf_shared->state) == state &&
		pg_atomic_read_u64(&sf_shared->grant) == grant)
		(void) ConditionVariableTimedSleep(&sf_shared->lease_changed,
										   Min(allowed_us / US_PER_MS + 1, LEASE_NAP_MS), wait_event);
	ConditionVariableCancelSleep();

	wait->counted_us = sf_clock_monotonic_us();
	sf_count(&counters->waited_us[SF_WAIT_LEASE], wait->counted_us - now_us);
}

/* Deal with a step that gave no IDs: wait, or raise an error. */
static pg_noinline void
no_step(Wait *wait, SfStepResult why, const SfStep *step)
{
	switch (why)
	{
		case SF_STEP_SEQUENCE_USED_UP:
		case SF_STEP_CLOCK_BEHIND:
			wait_for_clock(wait, why, step);
			break;
		case SF_STEP_BEFORE_EPOCH:
			sf_count(&counters->refusals, 1);
			ereport(ERROR,
					(errcode(SF_ERRCODE_CLOCK_BEHIND),
					 errmsg("the clock is before the epoch of the layout"),
					 errhint("Check the server's clock.")));
			break;
		case SF_STEP_TIME_OVER:
			sf_count(&counters->refusals, 1);
			ereport(ERROR,
					(errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
					 errmsg("the time of the layout is over"),
					 errdetail("The field \"time\" has %d bits, and no tick is left.",
							   sf_shared->layout.bits[SF_TIME]),
					 errhint("Check the server's clock. If it is right, a layout with more time bits or a later epoch is needed.")));
			break;
		case SF_STEP_OK:
			break;
	}
}

/*
 * Make up to want IDs (at least one), all of one tick.  function is the SQL
 * function that was called: the database's horizon is found beside it.
 *
 * The order matters.  The state is read before the grant: the exchange that
 * succeeds then proves that the grant was in force, for whoever replaces a
 * grant changes the state in between.  And it is read before the clock: the
 * clock is then not behind the tick of any ID that the state has seen, unless
 * it was set back.
 */
void
sf_generator_claim(Oid function, uint32 want, SfClaim *claim)
{
	Wait		wait = {0};

	if (unlikely(counters == NULL))
		prepare(function);

	for (;;)
	{
		const SfLayout *layout = &sf_shared->layout;
		uint64		state = pg_atomic_read_u64(&sf_shared->state);
		uint64		grant;
		uint32		start = 0;
		int64		now_ms;
		SfStep		step;
		SfStepResult result;

		pg_read_barrier();
		grant = pg_atomic_read_u64(&sf_shared->grant);
		if (unlikely(grant == SF_GRANT_NONE || (state & SF_STATE_CLOSED)))
		{
			if (sf_shared->leased)
				wait_for_lease(&wait, state, grant);
			else
				sf_node_grant();
			continue;
		}

		now_ms = sf_clock_ms();
		if (unlikely(now_ms < clock_seen || now_ms >= clock_check_due))
			check_clock(now_ms, state);
		clock_seen = now_ms;

		if (unlikely(sf_sequence_start > 0))
			start = pg_prng_uint64_range(&pg_global_prng_state, 0,
										 Min((uint64) sf_sequence_start,
											 sf_max_value(layout->bits[SF_SEQUENCE])));

		result = sf_step(layout, state, tick_of_ms(layout, now_ms),
						 lead_ticks(layout), start, want, &step);
		if (unlikely(result != SF_STEP_OK))
		{
			no_step(&wait, result, &step);
			continue;
		}

		if (unlikely(step.tick > sf_grant_last_tick(layout, grant)))
		{
			wait_for_lease(&wait, state, grant);
			continue;
		}

		/* The horizon may raise the state, so all is read anew after it. */
		if (unlikely(step.tick >= sf_horizon_due))
		{
			uint64		begin = sf_horizon_advance(function, step.tick);

			if (begin != 0)
				wait_for_horizon(&wait, begin, tick_of_ms(layout, now_ms));
			continue;
		}

		SF_PAUSE_POINT();
		if (likely(pg_atomic_compare_exchange_u64(&sf_shared->state, &state, step.state)))
		{
			claim->tick = step.tick;
			claim->node = sf_grant_node(layout, grant);
			claim->first = step.first;
			claim->count = step.count;
			sf_count(&counters->issued, step.count);

			sf_last = (SfLastClaim)
			{
				.now = sf_clock_millisecond(now_ms),
					.grant = grant,
					.tick = step.tick,
					.tick_state = sf_state_pack(layout, step.tick, 0),
					.tick_id = sf_layout_compose(layout, step.tick, claim->node, 0),
					.max_sequence = sf_max_value(layout->bits[SF_SEQUENCE]),
					.sequence_shift = layout->shift[SF_SEQUENCE],
					.issued = &counters->issued
			};
			return;
		}
	}
}

/* What sf_generator_next() does where its short way is closed. */
int64
sf_generator_next_by_claim(Oid function)
{
	SfClaim		claim;

	sf_generator_claim(function, 1, &claim);
	return sf_claim_id(&claim, 0);
}
