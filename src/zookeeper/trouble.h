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
extern void sf_zk_client_log(const char *message);

#endif							/* SF_ZK_TROUBLE_H */
