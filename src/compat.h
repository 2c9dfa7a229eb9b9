/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  The differences between PostgreSQL 15 and 19, all in one place.
 *
 * No other file looks at PG_VERSION_NUM.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_COMPAT_H
#define SF_COMPAT_H

#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000
#error "snowflake needs PostgreSQL 15 or newer"
#endif

/* The macros for text are in a header of their own from 16 on. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/*
 * From 17 on shared memory can be had while the server runs, so that the
 * library need not be preloaded.
 */
#if PG_VERSION_NUM >= 170000
#define SF_SHARED_ON_DEMAND

#include "storage/dsm_registry.h"
#include "utils/guc_tables.h"

#if PG_VERSION_NUM >= 190000
#define SF_DSM_INIT_ARGS	void *memory, void *arg
#define sf_named_segment(name, size, init, found) \
	GetNamedDSMSegment(name, size, init, found, NULL)
#else
#define SF_DSM_INIT_ARGS	void *memory
#define sf_named_segment(name, size, init, found) \
	GetNamedDSMSegment(name, size, init, found)
#endif
#endif

/* The index of this process among all backends, below MaxBackends. */
static inline int
sf_my_slot(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyProc->pgprocno;
#endif
}

/*
 * Has this transaction given the relation another file, which goes away if
 * the transaction is rolled back?
 */
static inline bool
sf_file_is_new(Relation rel)
{
#if PG_VERSION_NUM >= 160000
	return rel->rd_newRelfilelocatorSubid != InvalidSubTransactionId;
#else
	return rel->rd_newRelfilenodeSubid != InvalidSubTransactionId;
#endif
}

/* The name by which locks of ours are known in all processes. */
static inline int
sf_lwlock_new_tranche(const char *name)
{
#if PG_VERSION_NUM >= 190000
	return LWLockNewTrancheId(name);
#else
	return LWLockNewTrancheId();
#endif
}

static inline void
sf_lwlock_register_tranche(int tranche, const char *name)
{
#if PG_VERSION_NUM < 190000
	LWLockRegisterTranche(tranche, name);
#endif
}

/* A wait event of this name, where extensions can have one. */
static inline uint32
sf_wait_event_new(const char *name)
{
#if PG_VERSION_NUM >= 170000
	return WaitEventExtensionNew(name);
#else
	return PG_WAIT_EXTENSION;
#endif
}

/*
 * The value that waits for this setting, not yet defined, or NULL.  One that
 * was set and reset again, while the library was not loaded, is there as an
 * empty string, which is no value; an empty string that somebody wrote into
 * the configuration is one.
 */
static inline const char *
sf_placeholder_value(const char *name)
{
	const char *value = GetConfigOption(name, true, false);
#ifdef SF_SHARED_ON_DEMAND
	struct config_generic *placeholder = find_option(name, false, true, 0);
	bool		is_reset = placeholder != NULL && placeholder->source == PGC_S_DEFAULT;
#else
	bool		is_reset = value != NULL && *value == '\0' && !process_shared_preload_libraries_in_progress;
#endif

	return is_reset ? NULL : value;
}

/*
 * Was this setting, not yet defined, given by somebody who may not set it: a
 * client, a role's or a database's default?  Only asked where the library
 * works without being preloaded; a preloaded one defines its settings before
 * there is a client.
 */
static inline bool
sf_placeholder_is_foreign(const char *name)
{
#ifdef SF_SHARED_ON_DEMAND
	struct config_generic *placeholder = find_option(name, false, true, 0);

	return placeholder != NULL &&
		(placeholder->source > PGC_S_ARGV || placeholder->reset_source > PGC_S_ARGV);
#else
	return false;
#endif
}

#endif							/* SF_COMPAT_H */
