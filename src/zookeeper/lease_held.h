/*-------------------------------------------------------------------------
 *
 * lease_held.h
 *	  The lease as this process knows it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_LEASE_HELD_H
#define SF_ZK_LEASE_HELD_H

#include "session.h"
#include "tree.h"

typedef struct SfZkLease
{
	bool		held;			/* the ledger was ours when we last knew */
	bool		unknown;		/* the fate of our last write is not known */
	bool		present;		/* holder and registry entry are this
								 * session's */
	bool		traces;			/* they may be, or one of them */

	/* These belong to a lease that is held, or to a claim of unknown fate. */
	uint32		id;
	int64		claim;
	int			version;		/* of the ledger */
	int64		low_ms;
	int64		high_ms;		/* acknowledged, never what is hoped for */

	int64		since_ms;		/* held */
	int64		extended_at_us; /* monotonic */
	int64		extend_at_us;
} SfZkLease;

extern SfZkLease sf_zk_lease;

/* The lease was lost to another server, and no other has been had since. */
extern bool sf_zk_lease_fenced;

/*
 * This session may still say that we hold a node ID that we do not: it is to
 * be dropped, or the ID would seem to be held for as long as it lives.
 */
extern bool sf_zk_ghost;

extern void sf_zk_publish(void);
extern void sf_zk_hold(const char *how);
extern void sf_zk_acknowledged(const SfZkReply *reply, int64 high_ms);
extern void sf_zk_adopt(const SfLedgerRecord *ledger, int version, const char *how);
extern void sf_zk_lose(const char *why);
extern void sf_zk_forget(void);
extern void sf_zk_fill_ledger(SfLedgerRecord *ledger, int64 high_ms);
extern SfZkOutcome sf_zk_find_out(void);

extern int	sf_zk_add_presence(SfZkMulti *multi);
extern SfZkOutcome sf_zk_make_present(void);

#endif							/* SF_ZK_LEASE_HELD_H */
