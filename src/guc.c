/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  The settings: their limits, their checks, and how they are explained.
 *
 * PostgreSQL only warns about a value that a setting of an extension cannot
 * take and goes on with the default.  Here the default would be another
 * layout or no node ID, so a value that is refused while the settings are
 * defined is an error: the server does not start with it.
 *
 * Layout, epoch and node ID are only what the administrator asks for; what is
 * in force is in shared memory (shared.h), where they are copied once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "clock.h"
#include "compat.h"
#include "guc.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/guc.h"

#define NOT_SET			(-1)
#define MS_PER_HOUR		3600000
#define MS_PER_DAY		86400000
#define S_PER_YEAR		31536000

int			sf_max_lead_ms;
int			sf_max_wait_ms;
int			sf_max_jump_s;
int			sf_sequence_start;
int			sf_horizon_ms;
#ifdef SF_CRASH_POINTS
int			sf_crash_point;
int			sf_pause_us;
#endif

static int	node_id;
static int	datacenter_id;
static int	worker_id;
static char *layout_text;
static char *epoch_text;

/*
 * How often the setting that is being defined was assigned: once with its
 * default, and once more if the value that was waiting for it was taken.
 */
static int	assigned;

static void
count_int(int newval, void *extra)
{
	assigned++;
}

static void
count_string(const char *newval, void *extra)
{
	assigned++;
}

/* What the check hook last found wrong, for the error of refuse(). */
static SfTextError wrong;

static bool
check_layout(char **newval, void **extra, GucSource source)
{
	SfLayout	layout;

	if (!sf_layout_parse(*newval, &layout, &wrong))
	{
		GUC_check_errdetail("%s", wrong.message);
		return false;
	}

	/* A preset's epoch is past: a clock before it is wrong. */
	if (strstr(*newval, "epoch:") != NULL && layout.epoch_ms > sf_clock_ms())
	{
		snprintf(wrong.message, sizeof(wrong.message),
				 "The epoch must not be in the future.");
		GUC_check_errdetail("%s", wrong.message);
		return false;
	}
	if (!sf_layout_can_issue(&layout))
	{
		if (layout.total_bits > SF_MAX_ISSUED_BITS)
			snprintf(wrong.message, sizeof(wrong.message),
					 "The widths add up to %d bits; IDs that are made have at most %d, so that they are positive.",
					 layout.total_bits, SF_MAX_ISSUED_BITS);
		else
			snprintf(wrong.message, sizeof(wrong.message),
					 "A layout to make IDs with has a node ID, a sequence and no tail.");
		GUC_check_errdetail("%s", wrong.message);
		return false;
	}
	return true;
}

static bool
check_epoch(char **newval, void **extra, GucSource source)
{
	int64_t		unix_ms;

	if (**newval == '\0')
		return true;
	if (!sf_epoch_parse(*newval, &unix_ms, &wrong))
	{
		GUC_check_errdetail("%s", wrong.message);
		return false;
	}
	if (unix_ms > sf_clock_ms())
	{
		snprintf(wrong.message, sizeof(wrong.message),
				 "The epoch must not be in the future.");
		GUC_check_errdetail("%s", wrong.message);
		return false;
	}
	return true;
}

/*
 * Raise an error for a value that PostgreSQL has only warned of.  While the
 * server starts that ends it; in a backend that loads the library later it
 * ends the statement, before anything was read from the settings.
 */
static void
refuse(const char *name, const char *value, const char *detail)
{
	ereport(process_shared_preload_libraries_in_progress ? FATAL : ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for parameter \"%s\": \"%s\"", name, value),
			 errdetail("%s", detail)));
}

static void
define_int(const char *name, const char *short_desc, const char *long_desc,
		   int *variable, int boot, int min, int max, int flags)
{
	const char *waiting = sf_placeholder_value(name);
	char	   *value = waiting ? pstrdup(waiting) : NULL;

	assigned = 0;
	DefineCustomIntVariable(name, short_desc, long_desc, variable, boot, min,
							max, PGC_SIGHUP, flags, NULL, count_int, NULL);
	if (value != NULL && assigned < 2)
		refuse(name, value,
			   psprintf("The value must be a whole number between %d and %d%s.", min, max,
						(flags & GUC_UNIT_MS) ? " ms" : (flags & GUC_UNIT_S) ? " s" : ""));
}

/*
 * Layout and epoch can only be changed by a restart.  PostgreSQL lets a
 * setting of that kind be defined only while it preloads; defined later it
 * is one of the configuration file, which then counts at the first use.
 */
static void
define_string(const char *name, const char *short_desc, const char *long_desc,
			  char **variable, const char *boot, GucStringCheckHook check)
{
	const char *waiting = sf_placeholder_value(name);
	char	   *value = waiting ? pstrdup(waiting) : NULL;

	assigned = 0;
	wrong.message[0] = '\0';
	DefineCustomStringVariable(name, short_desc, long_desc, variable, boot,
							   process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP,
							   0, check, count_string, NULL);
	if (value != NULL && assigned < 2)
		refuse(name, value, wrong.message);
}

static void
define_settings(void)
{
	define_string("snowflake.layout",
				  "How the 64 bits of an ID are divided.",
				  "A preset's name (see the view snowflake_layouts), or fields from the highest bit to the lowest "
				  "with their widths, for example \"time:41 datacenter:5 worker:5 sequence:12 tick:1ms "
				  "epoch:2010-11-04T01:42:54.657Z\". All servers whose rows ever meet must have the same layout. "
				  "It takes effect at a restart; changing it under existing IDs can repeat them.",
				  &layout_text, "twitter", check_layout);
	define_string("snowflake.epoch",
				  "The instant that IDs count their time from, in place of the layout's own.",
				  "An ISO 8601 date or time, taken in UTC unless it has an offset. Empty: the epoch of the layout. "
				  "It takes effect at a restart; changing it under existing IDs can repeat them.",
				  &epoch_text, "", check_epoch);
	define_int("snowflake.node_id",
			   "The number of this server, in every ID that it makes.",
			   "No two servers that run at the same time may have the same one, standbys included; -1: not set, "
			   "no IDs are made. It can be set once while the server runs, by a reload; a later change takes "
			   "effect at a restart.",
			   &node_id, NOT_SET, NOT_SET, INT_MAX, 0);
	define_int("snowflake.datacenter_id",
			   "The datacenter's part of the node ID.",
			   "Used together with snowflake.worker_id in place of snowflake.node_id, where the layout has a "
			   "field \"datacenter\"; -1: not set.",
			   &datacenter_id, NOT_SET, NOT_SET, INT_MAX, 0);
	define_int("snowflake.worker_id",
			   "The worker's part of the node ID.",
			   "Used in place of snowflake.node_id, together with snowflake.datacenter_id where the layout has a "
			   "field \"datacenter\"; -1: not set.",
			   &worker_id, NOT_SET, NOT_SET, INT_MAX, 0);
	define_int("snowflake.max_lead",
			   "How far the time in an ID may run ahead of the clock.",
			   "With 0 an ID never has a time that the clock has not reached: when the sequence of a tick is used "
			   "up, or the clock was set back, IDs have to wait. A lead lets bursts go on without waiting, and "
			   "hides steps of the clock that are smaller.",
			   &sf_max_lead_ms, 0, 0, MS_PER_DAY, GUC_UNIT_MS);
	define_int("snowflake.max_wait",
			   "How long a call waits for the clock before it fails.",
			   "Calls wait when the sequence of a tick is used up, for less than a tick, and when the clock was set "
			   "back. Where the wait would be longer than this the call fails at once. With 0 no call ever waits.",
			   &sf_max_wait_ms, 2000, 0, MS_PER_DAY, GUC_UNIT_MS);
	define_int("snowflake.max_jump",
			   "How far the clock may be set forward while the server runs.",
			   "An ID with a time far in the future would keep all later IDs from being made until then, so a larger "
			   "jump is refused until the clock is set right or a superuser calls snowflake_accept_clock(). "
			   "0: no limit.",
			   &sf_max_jump_s, S_PER_YEAR, 0, INT_MAX, GUC_UNIT_S);
	define_int("snowflake.sequence_start",
			   "The sequence of a fresh tick starts at a random number from 0 up to this one.",
			   "With 0, IDs made at a low rate all end in sequence number 0, and so fall into the same shard where "
			   "shards are chosen by ID modulo their number. The numbers below the start are not used: the "
			   "capacity of a tick falls by half of this on average.",
			   &sf_sequence_start, 0, 0, INT_MAX, 0);
	define_int("snowflake.horizon",
			   "How far ahead IDs are reserved on disk.",
			   "Before an ID is made, a time later than its own is on disk; after a restart, IDs begin at that time. "
			   "So this is the longest that the first ID has to wait after a restart. It is written about twice "
			   "in this time while IDs are made.",
			   &sf_horizon_ms, 1000, 10, MS_PER_HOUR, GUC_UNIT_MS);

#ifdef SF_CRASH_POINTS
	DefineCustomIntVariable("snowflake.crash_point", "Where to die, in a test build.", NULL,
							&sf_crash_point, 0, 0, INT_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("snowflake.pause", "How long to pause at most, in microseconds, in a test build.", NULL,
							&sf_pause_us, 0, 0, INT_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
#endif
}

/*
 * From now on, a setting with our prefix that nobody has defined is a mistake.
 * While the server starts that is so only when all libraries are loaded: one
 * that leases node IDs has settings with our prefix, too.
 */
static void
reserve_prefix(void)
{
	MarkGUCPrefixReserved("snowflake");
}

static shmem_request_hook_type previous_request_hook = NULL;

static void
all_libraries_are_loaded(void)
{
	if (previous_request_hook)
		previous_request_hook();
	reserve_prefix();
}

/* The layout that the settings ask for.  The check hooks have seen both. */
void
sf_guc_layout(SfLayout *layout)
{
	SfTextError error;

	if (!sf_layout_parse(layout_text, layout, &error) ||
		(*epoch_text != '\0' && !sf_epoch_parse(epoch_text, &layout->epoch_ms, &error)))
		elog(ERROR, "could not read the snowflake layout: %s", error.message);
}

static bool
in_range(const char *name, int value, int bits, int elevel)
{
	int			max = sf_max_value(bits);

	if (value <= max)
		return true;
	ereport(elevel,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for parameter \"%s\": %d", name, value),
			 errdetail("The value must be between 0 and %d in this layout, which has %d bits for it.", max, bits)));
	return false;
}

/*
 * The node ID that the settings ask for under this layout.  A contradiction
 * is reported at elevel; where that returns, the node ID counts as unset.
 */
SfNodeSetting
sf_guc_node(const SfLayout *layout, int elevel, uint32_t *node)
{
	bool		by_parts = worker_id != NOT_SET || datacenter_id != NOT_SET;
	bool		has_datacenter = sf_layout_has(layout, SF_DATACENTER);

	if (node_id != NOT_SET && !in_range("snowflake.node_id", node_id, layout->node_bits, elevel))
		return SF_NODE_UNSET;

	if (by_parts)
	{
		if (!sf_layout_has(layout, SF_WORKER))
		{
			ereport(elevel,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"snowflake.datacenter_id\" and \"snowflake.worker_id\" cannot be used with this layout"),
					 errdetail("The layout has one field for the whole node ID."),
					 errhint("Set \"snowflake.node_id\" instead.")));
			return SF_NODE_UNSET;
		}
		if (!has_datacenter && datacenter_id != NOT_SET)
		{
			ereport(elevel,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"snowflake.datacenter_id\" cannot be used with this layout"),
					 errdetail("The layout has no datacenter field.")));
			return SF_NODE_UNSET;
		}
		if (worker_id == NOT_SET || (has_datacenter && datacenter_id == NOT_SET))
		{
			ereport(elevel,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"snowflake.datacenter_id\" and \"snowflake.worker_id\" must be set together")));
			return SF_NODE_UNSET;
		}
		if (!in_range("snowflake.worker_id", worker_id, layout->bits[SF_WORKER], elevel) ||
			(has_datacenter &&
			 !in_range("snowflake.datacenter_id", datacenter_id, layout->bits[SF_DATACENTER], elevel)))
			return SF_NODE_UNSET;

		*node = worker_id;
		if (has_datacenter)
			*node |= (uint32_t) datacenter_id << layout->bits[SF_WORKER];
		if (node_id != NOT_SET && (uint32_t) node_id != *node)
		{
			ereport(elevel,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"snowflake.node_id\" contradicts \"snowflake.datacenter_id\" and \"snowflake.worker_id\""),
					 errdetail("Datacenter and worker make node ID %u, but \"snowflake.node_id\" is %d.",
							   *node, node_id),
					 errhint("Set one form only.")));
			return SF_NODE_UNSET;
		}
		return SF_NODE_BY_PARTS;
	}

	*node = node_id;
	return node_id == NOT_SET ? SF_NODE_UNSET : SF_NODE_BY_ID;
}

/*
 * Define the settings and check what concerns several of them.  Called once
 * in the life of the server when preloaded, else once in each backend.
 */
void
sf_guc_init(void)
{
	static const char *const names[] = {
		"snowflake.layout", "snowflake.epoch", "snowflake.node_id",
		"snowflake.datacenter_id", "snowflake.worker_id", "snowflake.max_lead",
		"snowflake.max_wait", "snowflake.max_jump", "snowflake.sequence_start",
		"snowflake.horizon",
	};
	static bool begun = false;
	SfLayout	layout;
	uint32_t	node;
	int			elevel = process_shared_preload_libraries_in_progress ? FATAL : ERROR;

	/*
	 * An error below leaves the library in memory with some settings defined,
	 * and the next call of a function would come here again.
	 */
	if (begun)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the settings of snowflake were refused in this session"),
				 errhint("Correct the configuration, then connect anew.")));

	if (!process_shared_preload_libraries_in_progress)
	{
		for (int i = 0; i < (int) lengthof(names); i++)
		{
			if (sf_placeholder_is_foreign(names[i]))
				ereport(ERROR,
						(errcode(ERRCODE_CANT_CHANGE_RUNTIME_PARAM),
						 errmsg("parameter \"%s\" cannot be set for a session, role or database", names[i]),
						 errhint("Set it in the configuration file or by ALTER SYSTEM, and connect without it.")));
		}
	}

	begun = true;
	define_settings();
	if (process_shared_preload_libraries_in_progress)
	{
		previous_request_hook = shmem_request_hook;
		shmem_request_hook = all_libraries_are_loaded;
	}
	else
		reserve_prefix();

	sf_guc_layout(&layout);
	(void) sf_guc_node(&layout, elevel, &node);
	if (sf_max_wait_ms < sf_horizon_ms)
		ereport(WARNING,
				(errmsg("\"snowflake.max_wait\" is shorter than \"snowflake.horizon\""),
				 errdetail("The first IDs after a quick restart would fail: they may have to wait for %d ms, and are allowed %d ms.",
						   sf_horizon_ms, sf_max_wait_ms)));
	(void) in_range("snowflake.sequence_start", sf_sequence_start, layout.bits[SF_SEQUENCE], elevel);
}
