/*-------------------------------------------------------------------------
 *
 * report.c
 *	  What the server that leads has to say about the cluster.
 *
 *-------------------------------------------------------------------------
 */
#include "report.h"

#include <inttypes.h>

#include "bounded.h"

#define US_PER_MS		1000

/* A node ID that nobody has held for so long may belong to a server that is gone. */
#define LONG_UNHELD_MS	INT64_C(604800000)	/* 7 days */
#define LONG_UNHELD		"7 days"

/*
 * One whose lease ends so far in the future was held under a wrong clock; no
 * window is longer than an hour.
 */
#define LONG_USED_UP_MS	INT64_C(86400000)	/* a day */
#define LONG_USED_UP	"more than a day to come"

/* Fewer than this part of them can be had. */
#define FEW				10

/* How many of a kind are listed. */
#define LISTED			8

static void
begin_sentence(SfBounded *text)
{
	if (text->used > 0)
		sf_bounded_add(text, "; ");
}

/* Does nobody have it, and may it be claimed, now or at some time? */
static bool
is_unheld(const SfCandidate *candidate)
{
	return candidate->valid && !candidate->held && !candidate->ours && !candidate->ledger.retired;
}

static bool
is_used_up(const SfCandidate *candidate, int64_t now_ms)
{
	return candidate->ledger.high_ms > now_ms && candidate->ledger.high_ms - now_ms > LONG_USED_UP_MS;
}

/* One more of a kind that is listed after this text. */
static void
list(SfBounded *text, const char *what, uint32_t id, int *found)
{
	if (*found == 0)
	{
		begin_sentence(text);
		sf_bounded_add(text, "%s:", what);
	}
	if ((*found)++ < LISTED)
		sf_bounded_add(text, "%s %" PRIu32, *found == 1 ? "" : ",", id);
}

static void
end_list(SfBounded *text, int found)
{
	if (found > LISTED)
		sf_bounded_add(text, " and %d more", found - LISTED);
}

static void
report_used_up(SfBounded *text, const SfCandidate *candidates, int n, int64_t now_ms)
{
	int			found = 0;

	for (int i = 0; i < n; i++)
	{
		if (is_unheld(&candidates[i]) && is_used_up(&candidates[i], now_ms))
			list(text, "node IDs that are used up for " LONG_USED_UP, candidates[i].id, &found);
	}
	end_list(text, found);
}

static void
report_unheld(SfBounded *text, const SfCandidate *candidates, int n, int64_t now_ms)
{
	int			found = 0;

	for (int i = 0; i < n; i++)
	{
		if (is_unheld(&candidates[i]) && now_ms - candidates[i].ledger.high_ms >= LONG_UNHELD_MS)
			list(text, "node IDs that nobody has held for " LONG_UNHELD, candidates[i].id, &found);
	}
	end_list(text, found);
}

static void
report_shortage(SfBounded *text, const SfCandidate *candidates, int n, uint32_t first, uint32_t last, int64_t now_ms)
{
	uint64_t	all = first > last ? 0 : (uint64_t) last - first + 1;
	uint64_t	available = all;

	for (int i = 0; i < n; i++)
	{
		if (candidates[i].id >= first && candidates[i].id <= last &&
			(!is_unheld(&candidates[i]) || is_used_up(&candidates[i], now_ms)))
			available--;
	}
	if (available * FEW < all)
	{
		begin_sentence(text);
		sf_bounded_add(text, "node IDs are running out: %" PRIu64 " of %" PRIu64 " can be had", available, all);
	}
}

/* scratch has room for one more than there are nodes. */
static void
report_clocks(SfBounded *text, const SfReportNode *nodes, int n, SfClockOffset *scratch, int max_skew_ms)
{
	int			found = 0;

	for (int i = 0; i < n; i++)
	{
		int			others = 0;
		int64_t		skew_us;

		for (int j = 0; j < n; j++)
		{
			if (j != i)
				scratch[others++] = nodes[j].clock;
		}
		skew_us = sf_skew_from_others(&nodes[i].clock, scratch, others);
		if (skew_us <= (int64_t) max_skew_ms * US_PER_MS && skew_us >= -(int64_t) max_skew_ms * US_PER_MS)
			continue;
		if (found++ < LISTED)
		{
			begin_sentence(text);
			sf_bounded_add(text, "the clock of node ID %" PRIu32 " is at least %.3f s %s the others", nodes[i].id,
						   (skew_us < 0 ? -skew_us : skew_us) / 1e6, skew_us < 0 ? "behind" : "ahead of");
		}
	}
	if (found > LISTED)
		sf_bounded_add(text, "; so are %d more", found - LISTED);
}

/*
 * All of it in one line, or an empty text where there is nothing to say.  The
 * candidates are all that there are; from first to last may be claimed.
 */
void
sf_report(const SfCandidate *candidates, int n, uint32_t first, uint32_t last, int64_t now_ms,
		  const SfReportNode *nodes, int n_nodes, SfClockOffset *scratch, int max_skew_ms,
		  char buf[SF_REPORT_SIZE])
{
	SfBounded	text = {buf, SF_REPORT_SIZE, 0};

	buf[0] = '\0';
	report_shortage(&text, candidates, n, first, last, now_ms);
	report_used_up(&text, candidates, n, now_ms);
	report_clocks(&text, nodes, n_nodes, scratch, max_skew_ms);
	report_unheld(&text, candidates, n, now_ms);
}
