/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  The settings of the ZooKeeper module, and its credentials.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_SETTINGS_H
#define SF_ZK_SETTINGS_H

#include "api.h"

#define SF_ZK_PATH_SIZE		256 /* of the longest path, with its NUL */
#define SF_ZK_AUTH_SIZE		512

extern char *sf_zk_hosts;
extern char *sf_zk_path;
extern int	sf_zk_session_timeout_ms;
extern int	sf_zk_window_ms;
extern char *sf_zk_auth_file;
extern int	sf_zk_max_skew_ms;

extern void sf_zk_settings_init(void);
extern void sf_zk_settings_range(uint32 *first, uint32 *last);
extern bool sf_zk_settings_active(void);

#endif							/* SF_ZK_SETTINGS_H */
