/*-------------------------------------------------------------------------
 *
 * shared.c
 *	  The generator's shared memory: how it comes to be and how it is found.
 *
 * Up to PostgreSQL 16 it is reserved while the server starts, so the library
 * must be preloaded.  From 17 on the first backend that needs it makes it,
 * preloaded or not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "clock.h"
#include "compat.h"
#include "guc.h"
#include "miscadmin.h"
#include "shared.h"
#include "step.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#define SHARED_NAME		"snowflake"
#define SHARED_MAGIC	0x534e4f57
#define STRUCT_VERSION	1

SfShared   *sf_shared = NULL;

static Size
shared_size(void)
{
	return add_size(offsetof(SfShared, counters),
					mul_size(MaxBackends, sizeof(SfCounters)));
}

/*
 * The one place that initialises the memory, whichever way it was had.  The
 * magic number comes last: where it is missing, an error came between.
 */
static void
initialize(SfShared *shared)
{
	memset(shared, 0, shared_size());
	shared->struct_version = STRUCT_VERSION;
	strlcpy(shared->library_version, SF_VERSION, sizeof(shared->library_version));

	sf_guc_layout(&shared->layout);
	shared->initialized = GetCurrentTimestamp();

	pg_atomic_init_u64(&shared->grant, 0);
	pg_atomic_init_u32(&shared->node_setting, SF_NODE_UNSET);
	sf_lease_initialize(shared);
	pg_atomic_init_u64(&shared->clock_offset_us, sf_clock_offset_us());
	pg_atomic_init_u64(&shared->clock_steps_back, 0);
	pg_atomic_init_u64(&shared->largest_step_back_us, 0);
	if (!pg_strong_random(&shared->run_id, sizeof(shared->run_id)))
		elog(ERROR, "could not generate a random run ID");
	shared->run_id = (shared->run_id & PG_INT64_MAX & ~SF_RUN_ID_UNUSED) | SF_FIRST_RUN_ID;
	pg_atomic_init_u64(&shared->highest_bound, 0);
	pg_atomic_init_u64(&shared->horizon_extensions, 0);
	pg_atomic_init_u64(&shared->horizon_us, 0);
	pg_atomic_init_u64(&shared->horizon_raised_at, 0);
	pg_atomic_init_u64(&shared->state, 0);

	for (int i = 0; i < MaxBackends; i++)
	{
		SfCounters *counters = &shared->counters[i];

		pg_atomic_init_u64(&counters->issued, 0);
		pg_atomic_init_u64(&counters->refusals, 0);
		for (int c = 0; c < SF_NUM_WAIT_CAUSES; c++)
		{
			pg_atomic_init_u64(&counters->waits[c], 0);
			pg_atomic_init_u64(&counters->waited_us[c], 0);
		}
	}

	pg_write_barrier();
	shared->magic = SHARED_MAGIC;
}

#ifdef SF_SHARED_ON_DEMAND

static void
initialize_segment(SF_DSM_INIT_ARGS)
{
	initialize(memory);
}

void
sf_shared_init(void)
{
}

/* Can the memory be had without an error? */
bool
sf_shared_exists(void)
{
	return true;
}

/* PostgreSQL only knows that another size was asked for. */
static void
explain_segment(void *arg)
{
	errcontext("looking for the shared memory of snowflake");
	errhint("If the snowflake library was replaced while the server runs, restart the server.");
}

static SfShared *
find_shared(void)
{
	ErrorContextCallback explain = {.previous = error_context_stack, .callback = explain_segment};
	SfShared   *shared;
	bool		found;

	error_context_stack = &explain;
	shared = sf_named_segment(SHARED_NAME, shared_size(), initialize_segment, &found);
	error_context_stack = explain.previous;

	/*
	 * Minor releases differ in whether a segment whose initialisation raised
	 * an error is there for the next one who asks.
	 */
	if (shared->magic == 0)
	{
		LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
		if (shared->magic == 0)
			initialize(shared);
		LWLockRelease(AddinShmemInitLock);
	}
	return shared;
}

#else							/* memory only while the server starts */

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;
static SfShared *reserved = NULL;

static void
request_shared(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(shared_size());
}

static void
startup_shared(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	reserved = ShmemInitStruct(SHARED_NAME, shared_size(), &found);
	if (!found)
		initialize(reserved);
	LWLockRelease(AddinShmemInitLock);
}

void
sf_shared_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shared;
}

bool
sf_shared_exists(void)
{
	return reserved != NULL;
}

static SfShared *
find_shared(void)
{
	if (reserved == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("snowflake must be loaded via \"shared_preload_libraries\""),
				 errhint("Add \"snowflake\" to \"shared_preload_libraries\" and restart the server.")));
	return reserved;
}

#endif							/* SF_SHARED_ON_DEMAND */

/*
 * Find the shared memory, or raise an error.  Every function that needs the
 * server's layout or state calls this first; the second call costs a test.
 */
void
sf_shared_attach(void)
{
	SfShared   *shared;

	if (likely(sf_shared != NULL))
		return;

	shared = find_shared();
	if (shared->magic != SHARED_MAGIC || shared->struct_version != STRUCT_VERSION ||
		strcmp(shared->library_version, SF_VERSION) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the snowflake library was replaced while the server runs"),
				 errdetail("This session has loaded version %s, the server works with version %s.",
						   SF_VERSION,
						   shared->magic == SHARED_MAGIC ? shared->library_version : "unknown"),
				 errhint("Restart the server.")));
	sf_shared = shared;
}

/*
 * Raise the state to at least this one.  By compare-exchange like every other
 * change of it, so that no claim is overwritten.
 */
SfRaise
sf_state_raise(uint64 target)
{
	uint64		state = pg_atomic_read_u64(&sf_shared->state);

	for (;;)
	{
		if (state & SF_STATE_CLOSED)
			return SF_RAISE_CLOSED;
		if (state >= target)
			return SF_RAISE_NOT_NEEDED;
		if (pg_atomic_compare_exchange_u64(&sf_shared->state, &state, target))
			return SF_RAISED;
	}
}

/* The counters that only this backend writes. */
SfCounters *
sf_my_counters(void)
{
	Assert(sf_my_slot() >= 0 && sf_my_slot() < MaxBackends);
	return &sf_shared->counters[sf_my_slot()];
}
