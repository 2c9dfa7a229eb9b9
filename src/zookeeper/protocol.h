/*-------------------------------------------------------------------------
 *
 * protocol.h
 *	  The lease of a node ID: what is to be done next, extending, releasing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_PROTOCOL_H
#define SF_ZK_PROTOCOL_H

extern void sf_zk_protocol_new_session(void);
extern int64 sf_zk_protocol_step(void);
extern bool sf_zk_protocol_release(char **warning);
extern void sf_zk_protocol_report(void);

#endif							/* SF_ZK_PROTOCOL_H */
