/*-------------------------------------------------------------------------
 *
 * trouble.h
 *	  What goes wrong: told in the log and in snowflake_status, not too often.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_TROUBLE_H
#define SF_ZK_TROUBLE_H

extern void sf_zk_trouble(const char *format,...) pg_attribute_printf(1, 2);
extern void sf_zk_trouble_with(const char *file, const char *format,...) pg_attribute_printf(2, 3);
extern void sf_zk_trouble_over(void);
extern void sf_zk_client_log(const char *message);

/*
 * Places where a test build can be made to fail, to show that a worker that is
 * started again loses nothing.  Nothing in a normal build.
 */
#ifdef SF_CRASH_POINTS
extern int	sf_zk_fail_point;
#define SF_ZK_FAIL_POINT(n) \
	do { if (sf_zk_fail_point == (n)) elog(ERROR, "fail point %d", n); } while (0)
#else
#define SF_ZK_FAIL_POINT(n)	((void) 0)
#endif

#endif							/* SF_ZK_TROUBLE_H */
