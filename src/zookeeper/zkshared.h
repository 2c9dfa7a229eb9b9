/*-------------------------------------------------------------------------
 *
 * zkshared.h
 *	  What the worker shares with the sessions: the servers that are alive, and
 *	  a place for requests.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_SHARED_H
#define SF_ZK_SHARED_H

#include "record.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

/* As many live servers are listed; more can live. */
#define SF_ZK_MAX_NODES			1024

/* How many rows of the ledger are handed over at once. */
#define SF_ZK_LEDGER_PAGE		64

typedef struct SfZkNode
{
	uint32		id;
	bool		valid;			/* could its record be read? */
	char		host[SF_NAME_SIZE];
	int			port;
	char		version[SF_NAME_SIZE];
	int64		since_ms;
	int64		high_ms;
	int64		offset_us;
	int64		error_us;
	bool		leader;
} SfZkNode;

typedef enum SfZkVerb
{
	SF_ZK_LEDGER,				/* the ledgers from an ID on */
	SF_ZK_RETIRE,				/* an ID, or take that back */
	SF_ZK_RELEASE,
	SF_ZK_CLAIM
} SfZkVerb;

typedef enum SfZkRequestState
{
	SF_ZK_IDLE,
	SF_ZK_ASKED,
	SF_ZK_ANSWERED
} SfZkRequestState;

typedef struct SfZkLedgerRow
{
	uint32		id;
	bool		valid;			/* could it be read? */
	bool		denied;			/* no, nor is the rest of this known */
	bool		held;
	int64		modified_ms;
	SfLedgerRecord ledger;
} SfZkLedgerRow;

/* One request of a session at a time. */
typedef struct SfZkRequest
{
	SfZkRequestState state;
	uint64		number;			/* tells one from the next */
	SfZkVerb	verb;
	uint32		id;
	bool		flag;

	/* The answer: an error, or rows. */
	char		error[SF_LEASE_ERROR_SIZE]; /* empty: none */
	bool		warning;		/* it was done, and the error is a warning */
	int			rows;
	bool		more;
	SfZkLedgerRow row[SF_ZK_LEDGER_PAGE];
} SfZkRequest;

typedef struct SfZkShared
{
	LWLock		lock;			/* protects all that follows */
	int			tranche;		/* of the lock; never changes */

	/* The worker's, NULL while there is none. */
	Latch	   *worker;

	/* What the worker must know after a restart, besides what the core keeps. */
	char		cluster[SF_UUID_SIZE];	/* that this server works in, or empty */
	bool		released;		/* by hand: do not claim again */

	int			n_nodes;
	SfZkNode	node[SF_ZK_MAX_NODES];
	char		report[SF_REPORT_SIZE]; /* of the leader */

	SfZkRequest request;
	ConditionVariable answered; /* or the place for requests is free again */
} SfZkShared;

extern SfZkShared *sf_zk_shared;

extern void sf_zk_shared_init(void);
extern void sf_zk_shared_attach(void);

#endif							/* SF_ZK_SHARED_H */
