/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  The settings of the ZooKeeper module.
 *
 * A value that cannot work keeps the server from starting, as those of the
 * generator do: with the default in its place the server would have another
 * node ID than was meant, or none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "record.h"
#include "settings.h"
#include "trouble.h"
#include "utils/guc.h"

#define MS_PER_MINUTE	60000
#define MS_PER_HOUR		3600000

/* Room for what is appended to the path: /<uuid>/ids/<node ID>/holder. */
#define MAX_PATH_LENGTH	180

char	   *sf_zk_hosts;
char	   *sf_zk_path;
int			sf_zk_session_timeout_ms;
int			sf_zk_window_ms;
char	   *sf_zk_auth_file;
int			sf_zk_max_skew_ms;
#ifdef SF_CRASH_POINTS
int			sf_zk_fail_point;
#endif

static char *node_range;

/* See define(): what a hook found wrong, and how often a value was taken. */
static const char *wrong;
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

static bool
refuse_because(const char *reason)
{
	wrong = reason;
	GUC_check_errdetail("%s", reason);
	return false;
}

/*
 * host:port, host:port, ...  The client library would take a chroot at the
 * end; here the path has a setting of its own.
 */
static bool
check_hosts(char **newval, void **extra, GucSource source)
{
	const char *at = *newval;

	if (*at == '\0')
		return true;
	for (;;)
	{
		size_t		length = strcspn(at, ",");
		const char *colon = NULL;
		int64_t		port;

		for (size_t i = 0; i < length; i++)
		{
			if (at[i] == ':')
				colon = at + i;
			else if (!isalnum((unsigned char) at[i]) && strchr(".-_[]%", at[i]) == NULL)
				return refuse_because("The value must be a list of host:port, separated by commas without blanks.");
		}
		if (colon == NULL || colon == at ||
			!sf_record_number(colon + 1, at + length - colon - 1, 1, 65535, &port))
			return refuse_because("Each server must be given as host:port, the port from 1 to 65535.");
		if (at[length] == '\0')
			return true;
		at += length + 1;
	}
}

static bool
check_path(char **newval, void **extra, GucSource source)
{
	const char *path = *newval;
	size_t		length = strlen(path);

	if (length > MAX_PATH_LENGTH)
		return refuse_because("The path must not be longer than 180 bytes.");
	if (path[0] != '/' || length < 2 || path[length - 1] == '/')
		return refuse_because("The path must begin with a slash, and must not be or end in one.");
	if (strcmp(path, "/zookeeper") == 0 || strncmp(path, "/zookeeper/", 11) == 0)
		return refuse_because("ZooKeeper keeps the nodes below /zookeeper for itself.");
	for (const char *at = path; at != NULL; at = strchr(at + 1, '/'))
	{
		size_t		name = strcspn(at + 1, "/");

		if (name == 0 || (at[1] == '.' && (name == 1 || (name == 2 && at[2] == '.'))))
			return refuse_because("The parts of the path must not be empty, \".\" or \"..\".");
	}
	for (size_t i = 0; i < length; i++)
	{
		if (path[i] <= ' ' || path[i] > '~')
			return refuse_because("The path must be of printable ASCII characters without blanks.");
	}
	return true;
}

/* "16-31" or "7"; an empty text is all that the layout has. */
static bool
parse_range(const char *text, int64_t *first, int64_t *last)
{
	const char *hyphen = strchr(text, '-');
	size_t		length = hyphen ? (size_t) (hyphen - text) : strlen(text);

	*first = 0;
	*last = INT_MAX;
	if (*text == '\0')
		return true;
	if (!sf_record_number(text, length, 0, INT_MAX, first))
		return false;
	if (hyphen == NULL)
	{
		*last = *first;
		return true;
	}
	return sf_record_number(hyphen + 1, strlen(hyphen + 1), *first, INT_MAX, last);
}

static bool
check_range(char **newval, void **extra, GucSource source)
{
	int64_t		first;
	int64_t		last;

	if (!parse_range(*newval, &first, &last))
		return refuse_because("The value must be a node ID, or the first and the last one with a hyphen between, for example \"16-31\".");
	return true;
}

/* The node IDs that may be claimed, as the setting has them. */
void
sf_zk_settings_range(uint32 *first, uint32 *last)
{
	int64_t		from;
	int64_t		to;

	(void) parse_range(node_range, &from, &to);
	*first = from;
	*last = to;
}

/* Is there an ensemble to lease from? */
bool
sf_zk_settings_active(void)
{
	return *sf_zk_hosts != '\0';
}

/*
 * PostgreSQL only warns about a value that it finds in the configuration when
 * a setting is defined, and goes on with the default.
 */
static void
check_taken(const char *name, const char *value, const char *detail)
{
	if (value != NULL && assigned < 2)
		ereport(FATAL,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for parameter \"%s\": \"%s\"", name, value),
				 errdetail("%s", detail)));
}

static char *
waiting_value(const char *name)
{
	const char *value = GetConfigOption(name, true, false);

	assigned = 0;
	wrong = "";
	return value ? pstrdup(value) : NULL;
}

static void
define_string(const char *name, const char *short_desc, const char *long_desc,
			  char **variable, const char *boot, int flags, GucStringCheckHook check)
{
	char	   *value = waiting_value(name);

	DefineCustomStringVariable(name, short_desc, long_desc, variable, boot,
							   PGC_POSTMASTER, flags, check, count_string, NULL);
	check_taken(name, value, wrong);
}

static void
define_ms(const char *name, const char *short_desc, const char *long_desc,
		  int *variable, int boot, int min, int max, GucContext context)
{
	char	   *value = waiting_value(name);

	DefineCustomIntVariable(name, short_desc, long_desc, variable, boot, min, max,
							context, GUC_UNIT_MS, NULL, count_int, NULL);
	check_taken(name, value, psprintf("The value must be a whole number between %d and %d ms.", min, max));
}

/* Called in the postmaster, while it preloads. */
void
sf_zk_settings_init(void)
{
	define_string("snowflake.zookeeper_hosts",
				  "The ZooKeeper servers that node IDs are leased from.",
				  "A list of host:port, separated by commas. Empty: the module does nothing, and the node ID is that "
				  "of snowflake.node_id. With snowflake.node_id or snowflake.worker_id set, it is that ID that is leased.",
				  &sf_zk_hosts, "", 0, check_hosts);
	define_string("snowflake.zookeeper_path",
				  "The node in ZooKeeper under which a cluster keeps its leases.",
				  "All servers whose rows ever meet must have the same one. It is made if it is not there.",
				  &sf_zk_path, "/snowflake/main", 0, check_path);
	define_string("snowflake.zookeeper_node_range",
				  "The node IDs that may be claimed.",
				  "The first and the last one with a hyphen between, for example \"16-31\". Empty: all that the layout has.",
				  &node_range, "", 0, check_range);
	define_string("snowflake.zookeeper_auth_file",
				  "A file with the name and the password to authenticate with, as \"name:password\" in one line.",
				  "Nodes are then made so that only who authenticates in the same way can read or change them. The file "
				  "must belong to the user that runs the server or to root, and nobody else may read it. Empty: no "
				  "authentication.",
				  &sf_zk_auth_file, "", GUC_SUPERUSER_ONLY, NULL);
	define_ms("snowflake.zookeeper_session_timeout",
			  "After how long without contact ZooKeeper counts this server as gone.",
			  "Only then can another server claim its node ID, and that does no harm if it was wrong: IDs are "
			  "kept apart by snowflake.zookeeper_window. ZooKeeper may choose another value within its own limits.",
			  &sf_zk_session_timeout_ms, 10000, 400, 10 * MS_PER_MINUTE, PGC_POSTMASTER);
	define_ms("snowflake.zookeeper_window",
			  "For how long a lease is good from when it was last extended.",
			  "It is extended each third of this. IDs can be made for two thirds of it at least while ZooKeeper cannot "
			  "be reached; a node ID whose server has crashed can be claimed after at most this time.",
			  &sf_zk_window_ms, 30000, 300, MS_PER_HOUR, PGC_POSTMASTER);
	define_ms("snowflake.zookeeper_max_skew",
			  "How far the clock may be from those of the others.",
			  "A server whose clock is further from the median of the other servers' and of ZooKeeper's own may "
			  "not claim a node ID. Nor is a lease ever extended further into the future, by ZooKeeper's clock.",
			  &sf_zk_max_skew_ms, 1000, 1, MS_PER_HOUR, PGC_SIGHUP);

#ifdef SF_CRASH_POINTS
	DefineCustomIntVariable("snowflake.zookeeper_fail_point", "Where to fail, in a test build.", NULL,
							&sf_zk_fail_point, 0, 0, INT_MAX, PGC_SIGHUP, 0, NULL, NULL, NULL);
#endif
}
