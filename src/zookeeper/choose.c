/*-------------------------------------------------------------------------
 *
 * choose.c
 *	  Which node ID to claim.
 *
 * The one that this server had last, else one that nobody ever had, else the
 * one that is unused for longest.  Never the lowest free one: under servers
 * that come and go, that would be used again and again, and each time its new
 * holder would have to begin where the last one's lease ends.
 *
 * One whose lease ends in the future is left alone until then.  Its IDs would
 * have to wait for that, and the state of the generator would be raised to it
 * for good.
 *
 *-------------------------------------------------------------------------
 */
#include "choose.h"

#include <string.h>

/* How many candidates there are to choose one at random from, at most. */
#define MAX_SPREAD	64

static bool
in_range(const SfChoiceRules *rules, uint32_t id)
{
	return id >= rules->first && id <= rules->last;
}

/* Can it be had now?  If not, count why. */
static bool
is_free(const SfCandidate *candidate, const SfChoiceRules *rules, SfChoice *choice)
{
	int64_t		from_ms;

	if (!candidate->valid)
	{
		choice->unreadable++;
		return false;
	}
	if (candidate->held)
	{
		choice->held++;
		return false;
	}
	if (candidate->ledger.retired)
	{
		choice->retired++;
		return false;
	}
	from_ms = candidate->ledger.high_ms > rules->floor_ms ? candidate->ledger.high_ms : rules->floor_ms;
	if (from_ms > rules->now_ms)
	{
		if (choice->too_early++ == 0 || from_ms < choice->earliest_ms)
			choice->earliest_ms = from_ms;
		return false;
	}
	return true;
}

/* The n-th node ID of the range that has no candidate, which are sorted. */
static uint32_t
nth_without(const SfCandidate *candidates, int n_candidates, const SfChoiceRules *rules, uint64_t n)
{
	uint64_t	id = rules->first + n;

	for (int i = 0; i < n_candidates; i++)
	{
		if (in_range(rules, candidates[i].id) && candidates[i].id <= id)
			id++;
	}
	return id;
}

/* The candidates are sorted by their node IDs, and each is there once. */
void
sf_choose(const SfCandidate *candidates, int n, const SfChoiceRules *rules, SfChoice *choice)
{
	int			best[MAX_SPREAD];	/* those with the smallest ends, sorted */
	int			n_best = 0;
	int			spread = rules->spread < 1 ? 1 : rules->spread > MAX_SPREAD ? MAX_SPREAD : rules->spread;
	int			last_own = -1;
	uint64_t	unused = (uint64_t) rules->last - rules->first + 1;

	memset(choice, 0, sizeof(*choice));
	for (int i = 0; i < n; i++)
	{
		const SfCandidate *candidate = &candidates[i];
		int			at;

		if (!in_range(rules, candidate->id))
			continue;
		unused--;
		if (!is_free(candidate, rules, choice))
			continue;

		if (strcmp(candidate->ledger.owner, rules->owner) == 0 &&
			(last_own < 0 || candidate->modified_ms > candidates[last_own].modified_ms))
			last_own = i;

		for (at = n_best; at > 0 && candidates[best[at - 1]].ledger.high_ms > candidate->ledger.high_ms; at--)
			;
		if (at < spread)
		{
			if (n_best < spread)
				n_best++;
			memmove(&best[at + 1], &best[at], (n_best - 1 - at) * sizeof(best[0]));
			best[at] = i;
		}
	}

	if (last_own >= 0)
	{
		choice->kind = SF_CHOICE_LEDGER;
		choice->index = last_own;
		choice->id = candidates[last_own].id;
	}
	else if (unused > 0 && rules->floor_ms <= rules->now_ms)
	{
		choice->kind = SF_CHOICE_NEW;
		choice->id = nth_without(candidates, n, rules, rules->random % unused);
	}
	else if (n_best > 0)
	{
		choice->kind = SF_CHOICE_LEDGER;
		choice->index = best[rules->random % n_best];
		choice->id = candidates[choice->index].id;
	}
	else if (unused > 0 && (choice->too_early == 0 || rules->floor_ms < choice->earliest_ms))
		choice->earliest_ms = rules->floor_ms;
}
