/*-------------------------------------------------------------------------
 *
 * report.c
 *	  What the server that leads has to say about the cluster.
 *
 *-------------------------------------------------------------------------
 */
#include "report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define US_PER_MS		1000

/* A node ID that nobody has held for so long may belong to a server that is gone. */
#define LONG_UNHELD_MS	INT64_C(604800000)	/* 7 days */
#define LONG_UNHELD		"7 days"

/* Fewer than this part of them can be had. */
#define FEW				10

/* How many of a kind are listed. */
#define LISTED			8

typedef struct Text
{
	char	   *buf;
	size_t		used;
} Text;

/* What does not fit is left out at the end. */
static void
__attribute__((format(printf, 2, 3)))
add(Text *text, const char *format,...)
{
	size_t		room = SF_REPORT_SIZE - text->used;
	va_list		args;
	int			n;

	va_start(args, format);
	n = vsnprintf(text->buf + text->used, room, format, args);
	va_end(args);
	text->used += n < 0 ? 0 : (size_t) n < room ? (size_t) n : room - 1;
}

static void
begin_sentence(Text *text)
{
	if (text->used > 0)
		add(text, "; ");
}

static void
report_unheld(Text *text, const SfCandidate *candidates, int n, int64_t now_ms)
{
	int			found = 0;

	for (int i = 0; i < n; i++)
	{
		const SfCandidate *candidate = &candidates[i];

		if (!candidate->valid || candidate->held || candidate->ours || candidate->ledger.retired ||
			now_ms - candidate->ledger.high_ms < LONG_UNHELD_MS)
			continue;
		if (found == 0)
		{
			begin_sentence(text);
			add(text, "node IDs that nobody has held for " LONG_UNHELD ":");
		}
		if (found++ < LISTED)
			add(text, "%s %" PRIu32, found == 1 ? "" : ",", candidate->id);
	}
	if (found > LISTED)
		add(text, " and %d more", found - LISTED);
}

static void
report_shortage(Text *text, const SfCandidate *candidates, int n, uint32_t max_node)
{
	uint64_t	all = (uint64_t) max_node + 1;
	uint64_t	available = all - n;

	for (int i = 0; i < n; i++)
	{
		if (candidates[i].valid && !candidates[i].held && !candidates[i].ours && !candidates[i].ledger.retired)
			available++;
	}
	if (available * FEW < all)
	{
		begin_sentence(text);
		add(text, "node IDs are running out: %" PRIu64 " of %" PRIu64 " can be had", available, all);
	}
}

/* scratch has room for one more than there are nodes. */
static void
report_clocks(Text *text, const SfReportNode *nodes, int n, SfClockOffset *scratch, int max_skew_ms)
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
			add(text, "the clock of node ID %" PRIu32 " is at least %.3f s %s the others", nodes[i].id,
				(skew_us < 0 ? -skew_us : skew_us) / 1e6, skew_us < 0 ? "behind" : "ahead of");
		}
	}
	if (found > LISTED)
		add(text, "; so are %d more", found - LISTED);
}

/* All of it in one line, or an empty text where there is nothing to say. */
void
sf_report(const SfCandidate *candidates, int n, uint32_t max_node, int64_t now_ms,
		  const SfReportNode *nodes, int n_nodes, SfClockOffset *scratch, int max_skew_ms,
		  char buf[SF_REPORT_SIZE])
{
	Text		text = {buf, 0};

	buf[0] = '\0';
	report_shortage(&text, candidates, n, max_node);
	report_clocks(&text, nodes, n_nodes, scratch, max_skew_ms);
	report_unheld(&text, candidates, n, now_ms);
}
