/*-------------------------------------------------------------------------
 *
 * report.h
 *	  What the server that leads has to say about the cluster.
 *
 * Pure, like layout.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_REPORT_H
#define SF_ZK_REPORT_H

#include "choose.h"
#include "skew.h"

/* A server that is alive, by its clock. */
typedef struct SfReportNode
{
	uint32_t	id;
	SfClockOffset clock;
} SfReportNode;

extern void sf_report(const SfCandidate *candidates, int n, uint32_t first, uint32_t last, int64_t now_ms,
					  const SfReportNode *nodes, int n_nodes, SfClockOffset *scratch, int max_skew_ms,
					  char buf[SF_REPORT_SIZE]);

#endif							/* SF_ZK_REPORT_H */
