/*-------------------------------------------------------------------------
 *
 * horizon.c
 *	  The durable bound below which IDs may be handed out.
 *
 * Before an ID with time t is handed out, a horizon later than t is on disk,
 * in the extension's sequence snowflake_horizon of the same database.  After
 * a restart, a failover or a restore the generator goes on at the horizon,
 * whatever the clock says, so no ID that the data holds comes again.  It is
 * the way of nextval(), which logs 32 values ahead, with time in the place of
 * numbers.
 *
 * The horizon is written ahead of need, by whichever backend first comes into
 * the second half of what is left, and its WAL is flushed only when the first
 * half of the new stretch is needed; by then that has mostly happened for
 * some other reason.
 *
 * The mark (log_cnt) of the sequence tells whether the horizon was written in
 * this server run.  If so, the shared state has been above it since, and a
 * backend adopts it.  If not - it is from before the restart, or was set by
 * setval(), or came with a restore - the state is raised to it first, and a
 * tick below it is waited for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "clock.h"
#include "decode.h"
#include "guc.h"
#include "horizon.h"
#include "sequence.h"
#include "shared.h"
#include "step.h"
#include "storage/bufmgr.h"
#include "utils/inval.h"
#include "utils/timestamp.h"
#include "version.h"

uint64		sf_horizon_due = 0;

/*
 * What this backend knows of its database's horizon, as the first tick that
 * is not covered: the part that is on disk, and the part that is once WAL is
 * flushed up to pending_lsn.  0 where nothing is known.
 */
static uint64 durable_bound = 0;
static uint64 pending_bound = 0;
static XLogRecPtr pending_lsn = InvalidXLogRecPtr;

/* Did we just write this database's first horizon of this server run? */
static bool first_of_run = false;

static void
forget(Datum arg, Oid relid)
{
	if (relid == InvalidOid || sf_words_contain(relid))
		sf_horizon_due = durable_bound = pending_bound = 0;
}

/* Called when the library is loaded. */
void
sf_horizon_init(void)
{
	CacheRegisterRelcacheCallback(forget, (Datum) 0);
}

static inline uint64
horizon_ticks(const SfLayout *layout)
{
	return (sf_horizon_ms + layout->tick_ms - 1) / layout->tick_ms;
}

static inline int64
bound_to_ms(const SfLayout *layout, uint64 bound)
{
	return layout->epoch_ms + (int64) bound * layout->tick_ms;
}

/*
 * The first tick that does not start before a horizon.  One before the epoch
 * bounds nothing; one after the layout's end leaves no tick at all.
 */
static uint64
ms_to_bound(const SfLayout *layout, int64 ms)
{
	uint64		max = sf_max_value(layout->bits[SF_TIME]) + 1;
	uint64		bound;

	if (ms <= layout->epoch_ms)
		return 0;
	bound = ((uint64) (ms - layout->epoch_ms) + layout->tick_ms - 1) / layout->tick_ms;
	return Min(bound, max);
}

/*
 * Refuse to make IDs where the clock would have to be waited for longer than
 * allowed until they may begin at a horizon from before this server run.  The
 * state is not raised to it, since that is the state of all databases.
 */
static void
refuse_if_far(int64 horizon_ms)
{
	int64		ahead_ms = horizon_ms - sf_clock_ms();

	if (ahead_ms > (int64) sf_max_wait_ms + sf_max_lead_ms)
	{
		sf_count(&sf_my_counters()->refusals, 1);
		ereport(ERROR,
				(errcode(SF_ERRCODE_HORIZON_AHEAD),
				 errmsg("the horizon of this database is %.3f s ahead of the clock", ahead_ms / 1000.0),
				 errdetail("IDs up to that time may have been handed out before the server was started; \"snowflake.max_wait\" is %d ms and \"snowflake.max_lead\" is %d ms.",
						   sf_max_wait_ms, sf_max_lead_ms),
				 errhint("Set the clock right. If it is right, the horizon was written under a wrong clock: see snowflake_reset_horizon().")));
	}
}

/*
 * Raise the state to a horizon that was not written in this server run.
 * Returns false where that cannot be done because the node ID was given back;
 * the state may be opened again below the horizon.
 */
static bool
raise_state(const SfLayout *layout, uint64 bound)
{
	if (bound > 0)
	{
		SfRaise		raise = sf_state_raise(sf_state_pack(layout, bound - 1, sf_max_value(layout->bits[SF_SEQUENCE])));

		if (raise == SF_RAISE_CLOSED)
			return false;
		if (raise == SF_RAISED)
			pg_atomic_write_u64(&sf_shared->horizon_raised_at, (uint64) GetCurrentTimestamp());
	}
	return true;
}

/*
 * A horizon that no server wrote, but setval(): of a restore, or by hand.  The
 * owner of the database may do that, and must not be able to take the other
 * databases' time away: the state is raised to such a horizon only where a
 * burst of IDs could bring it as well.  Until then this database waits.
 */
static bool
must_come_nearer(const SfWordValue *horizon)
{
	bool		is_run_id = horizon->mark >= SF_FIRST_RUN_ID && (horizon->mark & SF_RUN_ID_UNUSED) == 0;

	return !is_run_id && horizon->value > sf_clock_ms() + sf_max_lead_ms;
}

/*
 * The database remembers the layout of its IDs; another one could make the
 * same numbers again.  Returns whether there is nothing remembered yet.
 */
static bool
check_layout(const SfWords *words, bool has_ids)
{
	SfWordValue fields = sf_words_read(words, SF_WORD_FIELDS);
	SfWordValue epoch = sf_words_read(words, SF_WORD_EPOCH);
	SfLayout	theirs;
	char		ours_text[SF_LAYOUT_TEXT_SIZE];
	char		theirs_text[SF_LAYOUT_TEXT_SIZE];

	if (!has_ids || !fields.set || !epoch.set)
		return true;
	if (fields.value == sf_layout_pack(&sf_shared->layout) &&
		epoch.value == sf_shared->layout.epoch_ms)
		return false;

	if (sf_layout_unpack(fields.value, epoch.value, &theirs))
		sf_layout_format(&theirs, theirs_text);
	else
		strcpy(theirs_text, "unknown");
	sf_layout_format(&sf_shared->layout, ours_text);
	ereport(ERROR,
			(errcode(SF_ERRCODE_OTHER_LAYOUT),
			 errmsg("the IDs of this database have another layout than this server"),
			 errdetail("The database has \"%s\", the server has \"%s\".", theirs_text, ours_text),
			 errhint("Set \"snowflake.layout\" and \"snowflake.epoch\" to the database's and restart the server, or see snowflake_set_layout().")));
}

/*
 * Write the horizon, and with it the layout where the database does not have
 * it yet.  Under the pages' exclusive locks.
 */
static XLogRecPtr
write_horizon(SfWords *words, uint64 bound, bool with_layout)
{
	const SfLayout *layout = &sf_shared->layout;
	SfWordValue values[SF_NUM_WORDS] = {
		[SF_WORD_HORIZON] = {true, bound_to_ms(layout, bound), sf_shared->run_id},
		[SF_WORD_FIELDS] = {true, sf_layout_pack(layout), 0},
		[SF_WORD_EPOCH] = {true, layout->epoch_ms, 0},
	};

	return sf_words_write(words, values, SF_WORD_HORIZON,
						  with_layout ? SF_WORD_EPOCH : SF_WORD_HORIZON);
}

/*
 * The horizon to write so that it lies beyond a tick: the length of the
 * setting ahead of the tick that is wanted now, of the state and of the clock,
 * so that a restart never has to wait for longer than the setting, or to the
 * end of a tick that is longer.
 */
static uint64
next_bound(const SfLayout *layout, uint64 tick, uint64 beyond)
{
	uint64		last = sf_state_tick(layout, pg_atomic_read_u64(&sf_shared->state));
	uint64		highest = Max(tick, last);
	int64		ms = Max(sf_clock_ms(), bound_to_ms(layout, highest)) + sf_horizon_ms;
	uint64		bound = Max(ms_to_bound(layout, ms), Max(highest, beyond) + 1);

	return Min(bound, sf_max_value(layout->bits[SF_TIME]) + 1);
}

/* Before a horizon is written, see sf_horizon_begin(). */
static void
note_highest(uint64 bound)
{
	uint64		highest = pg_atomic_read_u64(&sf_shared->highest_bound);

	while (highest < bound &&
		   !pg_atomic_compare_exchange_u64(&sf_shared->highest_bound, &highest, bound))
		;
}

/*
 * Make the pending horizon lie beyond a tick: adopt what another backend has
 * written, or write.  tick is the one that is wanted now.
 *
 * Returns 0, or the tick that IDs have to begin at where there is a horizon
 * from before this server run that is still ahead.  That one is left as it is
 * until it is reached: written anew at each start, it would run away from the
 * clock of a server that is restarted often.  So it
 * is while no node ID is leased.
 */
static uint64
extend(Oid function, uint64 tick, uint64 beyond)
{
	const SfLayout *layout = &sf_shared->layout;
	SfWords		words;
	SfWordValue horizon;
	bool		of_this_run;
	bool		with_layout;
	uint64		bound;
	XLogRecPtr	lsn;

	sf_words_open(&words, function, RowExclusiveLock);
	sf_words_require_lasting(&words);
	sf_words_lock(&words, BUFFER_LOCK_EXCLUSIVE);

	horizon = sf_words_read(&words, SF_WORD_HORIZON);
	with_layout = check_layout(&words, horizon.set);
	of_this_run = horizon.set && horizon.mark == sf_shared->run_id;
	bound = ms_to_bound(layout, horizon.value);

	if (of_this_run && bound > beyond)
		lsn = sf_words_lsn(&words, SF_WORD_HORIZON);
	else
	{
		if (horizon.set && !of_this_run)
		{
			bool		raised;

			refuse_if_far(horizon.value);
			/* Before the mark says that it was done. */
			raised = !must_come_nearer(&horizon) && raise_state(layout, bound);
			SF_CRASH_POINT(1);
			if (!raised || bound > tick)
			{
				sf_words_close(&words, RowExclusiveLock);
				return bound;
			}
		}

		bound = next_bound(layout, tick, beyond);
		note_highest(bound);
		lsn = write_horizon(&words, bound, with_layout);
		first_of_run = !of_this_run;
		pg_atomic_fetch_add_u64(&sf_shared->horizon_extensions, 1);
		SF_CRASH_POINT(2);
	}
	sf_words_close(&words, RowExclusiveLock);
	SF_CRASH_POINT(3);

	/*
	 * Only now: opening the sequences may have brought an invalidation, which
	 * has made us forget what we knew.
	 */
	pending_bound = bound;
	pending_lsn = lsn;
	return 0;
}

/* Wait until the pending horizon is on disk, and go on under it. */
static void
make_durable(void)
{
	XLogFlush(pending_lsn);
	SF_CRASH_POINT(4);
	durable_bound = pending_bound;
	sf_horizon_due = durable_bound - Min(durable_bound, horizon_ticks(&sf_shared->layout) / 2);
}

/*
 * See to it that IDs with this tick may be made: that a horizon above it is
 * on disk.  Returns 0 when that is so, else the tick before which this
 * database must not make IDs.  May wait for a lock on the sequence and for
 * WAL; raises an error where that tick is too far away, or IDs must not be
 * made at all.
 */
uint64
sf_horizon_advance(Oid function, uint64 tick)
{
	int64		begun = sf_clock_monotonic_us();
	uint64		begin = 0;

	if (tick < durable_bound)
	{
		/* There is time yet.  Write, but do not wait for the disk. */
		if (pending_bound <= durable_bound)
			begin = extend(function, tick, durable_bound);
		if (begin == 0)
			sf_horizon_due = durable_bound;
	}
	else
	{
		if (pending_bound <= tick)
			begin = extend(function, tick, tick);
		if (begin == 0)
			make_durable();
	}
	pg_atomic_fetch_add_u64(&sf_shared->horizon_us, sf_clock_monotonic_us() - begun);

	/*
	 * Once for a database and a server run, so that it is told and yet not
	 * told all the time.  Reading the catalogs may make us forget the
	 * horizon; the caller comes here again then.
	 */
	if (first_of_run)
	{
		first_of_run = false;
		sf_version_check(function);
	}
	return begin;
}

/*
 * For CREATE EXTENSION: the database may hold IDs that this server made
 * before the extension was dropped from it, so its horizon begins above them.
 * A statement that runs meanwhile goes on under the horizon that was dropped,
 * so it is not the last ID that counts but the highest horizon of this run.
 */
void
sf_horizon_begin(Oid function)
{
	uint64		bound = pg_atomic_read_u64(&sf_shared->highest_bound);
	SfWords		words;

	if (bound == 0)
		return;

	/* Not logged where wal_level is minimal, but on disk when we commit. */
	sf_words_open(&words, function, RowExclusiveLock);
	sf_words_lock(&words, BUFFER_LOCK_EXCLUSIVE);
	write_horizon(&words, bound, true);
	sf_words_close(&words, RowExclusiveLock);

	/* Nobody will write this database's first horizon of this server run. */
	sf_version_check(function);
}

/*
 * Read the horizon; false where no ID was ever made in this database.  One that
 * setval() has put after all times is infinite.
 */
bool
sf_horizon_read(Oid function, TimestampTz *horizon)
{
	SfWords		words;
	SfWordValue value;

	sf_words_open(&words, function, AccessShareLock);
	sf_words_lock(&words, BUFFER_LOCK_SHARE);
	value = sf_words_read(&words, SF_WORD_HORIZON);
	sf_words_close(&words, AccessShareLock);

	if (value.value <= sf_timestamp_unix_ms(END_TIMESTAMP - 1))
		*horizon = sf_unix_ms_timestamp(value.value);
	else
		TIMESTAMP_NOEND(*horizon);
	return value.set;
}

/*
 * Set the horizon to another time, also an earlier one.  Only one that this
 * server run has not taken up: once it has, other backends rely on it, and
 * the state in memory is above it.
 */
void
sf_horizon_reset(Oid function, TimestampTz horizon)
{
	const SfLayout *layout = &sf_shared->layout;
	int64		ms = Max(sf_timestamp_unix_ms(horizon), 0); /* what setval() takes */
	uint64		state = pg_atomic_read_u64(&sf_shared->state);
	SfWords		words;
	SfWordValue value;
	XLogRecPtr	lsn;

	sf_words_open(&words, function, RowExclusiveLock);
	sf_words_require_lasting(&words);
	sf_words_lock(&words, BUFFER_LOCK_EXCLUSIVE);
	value = sf_words_read(&words, SF_WORD_HORIZON);
	if ((value.set && value.mark == sf_shared->run_id && ms < value.value) ||
		bound_to_ms(layout, sf_state_tick(layout, state)) > sf_clock_ms() + sf_max_wait_ms)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the horizon is in use"),
				 errdetail("Since it was started, this server has made IDs under it, or is ahead of the clock itself."),
				 errhint("Restart the server, and reset the horizon before IDs are made in this database.")));

	value = (SfWordValue) {true, ms, 0};
	lsn = sf_words_write(&words, &value, SF_WORD_HORIZON, SF_WORD_HORIZON);
	sf_words_close(&words, RowExclusiveLock);
	XLogFlush(lsn);
}

/*
 * Make the server's layout the one of this database.  Where IDs were made
 * already, only if every new one will be greater than all of them.
 */
void
sf_horizon_set_layout(Oid function)
{
	const SfLayout *ours = &sf_shared->layout;
	SfLayout	theirs;
	SfWords		words;
	SfWordValue values[SF_NUM_WORDS];
	XLogRecPtr	lsn;

	sf_words_open(&words, function, RowExclusiveLock);
	sf_words_require_lasting(&words);
	sf_words_lock(&words, BUFFER_LOCK_EXCLUSIVE);
	for (int i = 0; i < SF_NUM_WORDS; i++)
		values[i] = sf_words_read(&words, i);

	if (values[SF_WORD_HORIZON].set)
	{
		uint64		last_theirs;
		uint64		first_ours;

		if (!sf_layout_unpack(values[SF_WORD_FIELDS].value, values[SF_WORD_EPOCH].value, &theirs))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the layout of this database's IDs is not known"),
					 errhint("It is noted when the first ID is made, under the layout that the server has then.")));

		/*
		 * The greatest ID that may be there, and the smallest that can come:
		 * new IDs are not made below the horizon.
		 */
		last_theirs = ms_to_bound(&theirs, values[SF_WORD_HORIZON].value) << theirs.shift[SF_TIME];
		first_ours = ms_to_bound(ours, values[SF_WORD_HORIZON].value) << ours->shift[SF_TIME];
		if (first_ours < last_theirs)
			ereport(ERROR,
					(errcode(SF_ERRCODE_OTHER_LAYOUT),
					 errmsg("IDs of the server's layout could repeat those of this database"),
					 errdetail("IDs below " UINT64_FORMAT " may have been made; new ones would begin at " UINT64_FORMAT ".",
							   last_theirs, first_ours)));
	}

	/* Without a mark of this run, whoever comes next begins at the horizon. */
	values[SF_WORD_HORIZON].mark = 0;
	values[SF_WORD_FIELDS] = (SfWordValue) {true, sf_layout_pack(ours), 0};
	values[SF_WORD_EPOCH] = (SfWordValue) {true, ours->epoch_ms, 0};
	lsn = sf_words_write(&words, values, SF_WORD_HORIZON, SF_WORD_EPOCH);
	sf_words_close(&words, RowExclusiveLock);
	XLogFlush(lsn);
}
