/*-------------------------------------------------------------------------
 *
 * shared.h
 *	  The state of the generator in shared memory, one for a whole server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_SHARED_H
#define SF_SHARED_H

#include "datatype/timestamp.h"
#include "layout.h"
#include "lease.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/s_lock.h"

#define SF_VERSION			"1.0.0"

/*
 * What marks a horizon as a server's: at least this, with the lowest bits zero.
 * setval() leaves 0; nextval() leaves up to 32 where it writes to the log, else
 * what is there less one, for each millisecond that it adds: after 2^20 times a
 * mark could be taken for a server's, but the horizon is 17 minutes ahead then.
 */
#define SF_FIRST_RUN_ID		(INT64CONST(1) << 62)
#define SF_RUN_ID_UNUSED	((INT64CONST(1) << 20) - 1)

/* What a call waited for, or was refused for. */
typedef enum SfWaitCause
{
	SF_WAIT_SEQUENCE,			/* the sequence of the tick is used up */
	SF_WAIT_CLOCK,				/* the clock was set back */
	SF_WAIT_LEASE				/* no node ID was leased for this time */
} SfWaitCause;

#define SF_NUM_WAIT_CAUSES	3

/*
 * What one backend did.  Each slot is written only by the backend that has
 * it, and is a cache line of its own, so counting costs no one anything;
 * readers sum up all slots.  A slot keeps its numbers when its backend ends
 * and the next one goes on from them.
 */
typedef union SfCounters
{
	struct
	{
		pg_atomic_uint64 issued;
		pg_atomic_uint64 refusals;
		pg_atomic_uint64 waits[SF_NUM_WAIT_CAUSES];
		pg_atomic_uint64 waited_us[SF_NUM_WAIT_CAUSES];
	};
	char		pad[PG_CACHE_LINE_SIZE];
} SfCounters;

typedef struct SfShared
{
	/*
	 * Which library made this.  Checked by every backend that attaches, since
	 * the file may have been replaced while the server runs.  Must stay at
	 * the head in all versions.
	 */
	uint32		magic;
	uint32		struct_version;
	char		library_version[24];

	/*
	 * The layout in force.  Written when the memory is initialised, never
	 * later: what was issued under it stays valid as long as the server runs.
	 */
	SfLayout	layout;
	TimestampTz initialized;	/* when that was */

	/*
	 * Node ID and the last tick that it may be used for, see node.h.  0 until
	 * it is known.
	 */
	pg_atomic_uint64 grant;
	pg_atomic_uint32 node_setting;	/* SfNodeSetting that it came from */

	/*
	 * Where a module leases the node ID, see lease.h.  The first three are
	 * written when the memory is initialised and never later: whether one
	 * does, the node ID of the settings if that is the one to lease (see
	 * node_setting), and what tells this life of the state from any other.
	 * The rest is written by the module's worker alone.
	 */
	bool		leased;
	uint32		lease_static_node;
	uint8		lease_nonce[SF_LEASE_NONCE_BYTES];
	pg_atomic_uint32 lease_state;	/* SfLeaseState */
	pg_atomic_uint64 lease_claim;	/* claim number of the grant */
	pg_atomic_uint64 lease_fenced;	/* how often it was lost to another */
	pg_atomic_uint64 lease_round_trip_us;	/* of the last request, 0 = none */
	slock_t		lease_error_lock;
	char		lease_error[SF_LEASE_ERROR_SIZE];	/* the last one, or empty */

	/* Broadcast when a grant or a lease state may let those go on who wait. */
	ConditionVariable lease_changed;

	/*
	 * How far CLOCK_REALTIME was ahead of CLOCK_BOOTTIME, in microseconds,
	 * when it was last looked at (about once a second), and the steps back
	 * that were seen that way.
	 */
	pg_atomic_uint64 clock_offset_us;
	pg_atomic_uint64 clock_steps_back;
	pg_atomic_uint64 largest_step_back_us;

	/*
	 * Marks the horizons that were written since this memory was initialised;
	 * random, from SF_FIRST_RUN_ID on and without the bits of
	 * SF_RUN_ID_UNUSED, written once.
	 */
	int64		run_id;

	/*
	 * The first tick above every horizon that was written in this server run,
	 * in any database.
	 */
	pg_atomic_uint64 highest_bound;

	/* What the horizons cost, and when one was last taken up from before. */
	pg_atomic_uint64 horizon_extensions;
	pg_atomic_uint64 horizon_us;
	pg_atomic_uint64 horizon_raised_at; /* TimestampTz, 0 = never */

	/*
	 * Last tick and sequence used, see step.h.  The only word that every ID
	 * writes, so it has a cache line for itself.  It only rises, and only by
	 * compare-exchange.
	 */
	char		pad1[PG_CACHE_LINE_SIZE];
	pg_atomic_uint64 state;
	char		pad2[PG_CACHE_LINE_SIZE];

	SfCounters	counters[FLEXIBLE_ARRAY_MEMBER];	/* MaxBackends of them */
} SfShared;

/* What came of sf_state_raise(). */
typedef enum SfRaise
{
	SF_RAISED,
	SF_RAISE_NOT_NEEDED,		/* it was that high already */
	SF_RAISE_CLOSED				/* nothing was done, see SF_STATE_CLOSED */
} SfRaise;

/* NULL before sf_shared_attach(). */
extern SfShared *sf_shared;

extern void sf_shared_init(void);
extern void sf_shared_attach(void);
extern bool sf_shared_exists(void);
extern SfCounters *sf_my_counters(void);
extern SfRaise sf_state_raise(uint64 target);

static inline void
sf_count(pg_atomic_uint64 *mine, uint64 n)
{
	pg_atomic_write_u64(mine, pg_atomic_read_u64(mine) + n);
}

/*
 * Places where a test build can be made to die, to show that no step of
 * writing the horizon loses an ID; and others where it pauses, to show that it
 * does not matter how long ago a backend has read the words that it goes by.
 * Nothing in a normal build.
 */
#ifdef SF_CRASH_POINTS
#include <signal.h>
#include <unistd.h>

#include "common/pg_prng.h"

extern int	sf_crash_point;
extern int	sf_pause_us;
#define SF_CRASH_POINT(n) \
	do { if (sf_crash_point == (n)) kill(getpid(), SIGKILL); } while (0)
#define SF_PAUSE_POINT() \
	do { if (sf_pause_us > 0) pg_usleep(pg_prng_uint64_range(&pg_global_prng_state, 0, sf_pause_us)); } while (0)
#else
#define SF_CRASH_POINT(n)	((void) 0)
#define SF_PAUSE_POINT()	((void) 0)
#endif

#endif							/* SF_SHARED_H */
