/*-------------------------------------------------------------------------
 *
 * choose.h
 *	  Which node ID to claim.
 *
 * Pure, like layout.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_CHOOSE_H
#define SF_ZK_CHOOSE_H

#include "record.h"

/* A node ID that has a ledger. */
typedef struct SfCandidate
{
	uint32_t	id;
	int32_t		version;		/* of the ledger's node */
	bool		valid;			/* could its ledger be read? */
	bool		denied;			/* no, for want of rights */
	SfRecordError error;		/* no, for this, unless denied */
	bool		held;			/* by a live server other than us */
	bool		ours;			/* the ledger has our nonce */
	int64_t		modified_ms;	/* by ZooKeeper's clock */
	SfLedgerRecord ledger;
} SfCandidate;

typedef enum SfChoiceKind
{
	SF_CHOICE_NONE,
	SF_CHOICE_NEW,				/* one that was never used */
	SF_CHOICE_LEDGER			/* one that has a ledger */
} SfChoiceKind;

typedef struct SfChoice
{
	SfChoiceKind kind;
	uint32_t	id;
	int			index;			/* of the candidate, with SF_CHOICE_LEDGER */

	/* How many have a ledger and cannot be had, by reason. */
	int			held;
	int			retired;
	int			unreadable;
	int			too_early;		/* may have been used up to a time to come */
	int64_t		earliest_ms;	/* when the first of these can be had */
} SfChoice;

/* What there is to choose from, and by what. */
typedef struct SfChoiceRules
{
	uint32_t	first;
	uint32_t	last;
	int64_t		now_ms;
	int64_t		floor_ms;		/* no claim begins before it */
	const char *owner;			/* as it stands in the ledgers that we had */
	int			spread;			/* among how many of the best to choose at
								 * random */
	uint64_t	random;
} SfChoiceRules;

extern void sf_choose(const SfCandidate *candidates, int n, const SfChoiceRules *rules, SfChoice *choice);

#endif							/* SF_ZK_CHOOSE_H */
