/*-------------------------------------------------------------------------
 *
 * trouble.c
 *	  What goes wrong: told in the log and in snowflake_status, not too often.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api.h"
#include "record.h"
#include "trouble.h"

/* The same trouble is logged again after that time. */
#define REPEAT_US			INT64CONST(60000000)

/* While there is an outage, the library has several lines for each attempt. */
#define CLIENT_LINE_US		INT64CONST(10000000)

static void tell(const char *file, const char *format, va_list args) pg_attribute_printf(2, 0);

/* file may be NULL. */
static void
tell(const char *file, const char *format, va_list args)
{
	static char last[SF_LEASE_ERROR_SIZE];
	static int64 logged_us = 0;
	char		message[SF_LEASE_ERROR_SIZE];
	char		text[SF_LEASE_ERROR_SIZE];
	int			saved_errno = errno;
	int64		now_us = sf_api->clock_monotonic_us();

	errno = saved_errno;
	vsnprintf(message, sizeof(message), format, args);

	/* It is shown in databases of any encoding. */
	sf_record_text(text, sizeof(text), message);

	sf_api->report_error(text);
	if (logged_us != 0 && strcmp(text, last) == 0 && now_us - logged_us < REPEAT_US)
		return;
	strlcpy(last, text, sizeof(last));
	logged_us = now_us;
	ereport(LOG,
			(errmsg("snowflake: %s", text),
			 file != NULL ? errdetail("The file is \"%s\".", file) : 0));
}

/*
 * Something has gone wrong; the arguments are those of printf, for a message
 * in the style of errmsg().  It becomes the last error of the lease.
 */
void
sf_zk_trouble(const char *format,...)
{
	va_list		args;

	va_start(args, format);
	tell(NULL, format, args);
	va_end(args);
}

/* The same, with a file whose name is for the log only. */
void
sf_zk_trouble_with(const char *file, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	tell(file, format, args);
	va_end(args);
}

/* All is well again: what went wrong before is for the log only. */
void
sf_zk_trouble_over(void)
{
	sf_api->report_error("");
}

/* A line that the client library wants to be logged. */
void
sf_zk_client_log(const char *message)
{
	static int64 logged_us = 0;
	static int	left_out = 0;
	int64		now_us = sf_api->clock_monotonic_us();

	if (logged_us != 0 && now_us - logged_us < CLIENT_LINE_US)
	{
		left_out++;
		ereport(DEBUG1, (errmsg_internal("snowflake: ZooKeeper client: %s", message)));
		return;
	}
	if (left_out > 0)
		ereport(LOG, (errmsg("snowflake: ZooKeeper client: %s", message),
					  errdetail("%d lines before it were left out.", left_out)));
	else
		ereport(LOG, (errmsg("snowflake: ZooKeeper client: %s", message)));
	logged_us = now_us;
	left_out = 0;
}
