/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  The SQL functions of the module.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "request.h"
#include "row.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(snowflake_nodes);
PG_FUNCTION_INFO_V1(snowflake_zookeeper_ledger);
PG_FUNCTION_INFO_V1(snowflake_zookeeper_retire);
PG_FUNCTION_INFO_V1(snowflake_zookeeper_release);
PG_FUNCTION_INFO_V1(snowflake_zookeeper_claim);

static void
require_superuser(FunctionCallInfo fcinfo)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to call %s()", get_func_name(fcinfo->flinfo->fn_oid))));
}

static int
compare_nodes(const void *a, const void *b)
{
	uint32		left = ((const SfZkNode *) a)->id;
	uint32		right = ((const SfZkNode *) b)->id;

	return left < right ? -1 : left > right;
}

/*
 * snowflake_nodes() returns a row for each live server of the cluster; the
 * view of that name explains the columns.
 *
 * Errors: 55000 not preloaded.
 */
Datum
snowflake_nodes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	SfZkNode   *nodes = palloc(sizeof(SfZkNode) * SF_ZK_MAX_NODES);
	char		report[SF_REPORT_SIZE];
	int			n;

	sf_zk_api_init();
	sf_zk_shared_attach();
	InitMaterializedSRF(fcinfo, 0);

	LWLockAcquire(&sf_zk_shared->lock, LW_SHARED);
	n = sf_zk_shared->n_nodes;
	memcpy(nodes, sf_zk_shared->node, sizeof(SfZkNode) * n);
	strlcpy(report, sf_zk_shared->report, sizeof(report));
	LWLockRelease(&sf_zk_shared->lock);

	qsort(nodes, n, sizeof(SfZkNode), compare_nodes);
	for (int i = 0; i < n; i++)
	{
		const SfZkNode *node = &nodes[i];
		SfRow		row = {0};

		sf_row_put(&row, Int32GetDatum(node->id));
		if (node->valid)
		{
			sf_row_put_text(&row, node->host);
			sf_row_put(&row, Int32GetDatum(node->port));
			sf_row_put_text(&row, node->version);
			sf_row_put_ms(&row, node->since_ms);
			/* A server enters its record before it has extended its lease. */
			if (node->high_ms > 0)
				sf_row_put_interval_us(&row, (node->high_ms - sf_api->clock_ms()) * 1000);
			else
				sf_row_put_null(&row);
			sf_row_put_interval_us(&row, node->offset_us);
			sf_row_put_interval_us(&row, node->error_us);
			sf_row_put(&row, BoolGetDatum(node->leader));
			if (node->leader && report[0] != '\0')
				sf_row_put_text(&row, report);
			else
				sf_row_put_null(&row);
		}
		else
		{
			while (row.n < rsinfo->setDesc->natts)
				sf_row_put_null(&row);
		}
		Assert(row.n == rsinfo->setDesc->natts);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values, row.nulls);
	}
	return (Datum) 0;
}

/* What is kept of an answer. */
typedef struct LedgerPage
{
	int			n;
	bool		more;
	SfZkLedgerRow rows[SF_ZK_LEDGER_PAGE];
} LedgerPage;

static void
take_page(const SfZkRequest *answer, void *context)
{
	LedgerPage *page = context;

	page->n = answer->rows;
	page->more = answer->more;
	memcpy(page->rows, answer->row, sizeof(SfZkLedgerRow) * answer->rows);
}

/*
 * snowflake_zookeeper_ledger() returns setof record
 *
 * A row for each node ID that has a ledger, as ZooKeeper has it now:
 *	node_id		integer
 *	claim		bigint, how often it was claimed
 *	owner		text, who claimed it last
 *	low, high	timestamptz, the time that was given to the owner
 *	held		boolean, whether the owner is alive
 *	retired		boolean, whether it is not to be claimed
 *	modified	timestamptz, by ZooKeeper's clock
 * All but node_id, held and modified are null where the ledger is unreadable.
 *
 * Errors: 42501 not superuser, 55000 not preloaded, no worker or not connected
 * to ZooKeeper, 58000 no answer in time.
 */
Datum
snowflake_zookeeper_ledger(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	LedgerPage *page = palloc0(sizeof(LedgerPage));
	uint32		from = 0;

	require_superuser(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	do
	{
		sf_zk_ask(SF_ZK_LEDGER, from, false, take_page, page);
		for (int i = 0; i < page->n; i++)
		{
			const SfZkLedgerRow *ledger = &page->rows[i];
			SfRow		row = {0};

			sf_row_put(&row, Int32GetDatum(ledger->id));
			if (ledger->valid)
			{
				sf_row_put(&row, Int64GetDatum(ledger->ledger.claim));
				sf_row_put_text(&row, ledger->ledger.owner);
				sf_row_put_ms(&row, ledger->ledger.low_ms);
				sf_row_put_ms(&row, ledger->ledger.high_ms);
			}
			else
			{
				for (int c = 0; c < 4; c++)
					sf_row_put_null(&row);
			}
			if (ledger->denied)
				sf_row_put_null(&row);
			else
				sf_row_put(&row, BoolGetDatum(ledger->held));
			if (ledger->valid)
				sf_row_put(&row, BoolGetDatum(ledger->ledger.retired));
			else
				sf_row_put_null(&row);
			if (ledger->denied)
				sf_row_put_null(&row);
			else
				sf_row_put_ms(&row, ledger->modified_ms);
			Assert(row.n == rsinfo->setDesc->natts);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values, row.nulls);
			from = ledger->id + 1;
		}
	} while (page->more && page->n > 0);
	return (Datum) 0;
}

/*
 * snowflake_zookeeper_retire(node_id integer, retired boolean) returns void
 *
 * Mark a node ID that nobody holds as one that is not to be claimed, or take
 * the mark away.  What its ledger says of the time that it was used for stays.
 *
 * Errors: 42501 not superuser, 22003 node_id is negative, 55000 it is held, or
 * out of range, or as snowflake_zookeeper_ledger(), 58000 no answer in time.
 */
Datum
snowflake_zookeeper_retire(PG_FUNCTION_ARGS)
{
	int32		id = PG_GETARG_INT32(0);

	require_superuser(fcinfo);
	if (id < 0)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("node ID must not be negative"),
				 errdetail("The node ID is %d.", id)));
	sf_zk_ask(SF_ZK_RETIRE, id, PG_GETARG_BOOL(1), NULL, NULL);
	PG_RETURN_VOID();
}

/*
 * snowflake_zookeeper_release() returns void
 *
 * Give the node ID of this server back, and make no more IDs until
 * snowflake_zookeeper_claim() is called or the server is restarted.  A warning
 * where ZooKeeper could not be told: others can claim the node ID then when its
 * lease has run out, and ZooKeeper has ended the session.
 *
 * Errors: 42501 not superuser, 55000 not preloaded or no worker, 58000 no
 * answer in time.
 */
Datum
snowflake_zookeeper_release(PG_FUNCTION_ARGS)
{
	require_superuser(fcinfo);
	sf_zk_ask(SF_ZK_RELEASE, 0, false, NULL, NULL);
	PG_RETURN_VOID();
}

/*
 * snowflake_zookeeper_claim() returns void
 *
 * Have the worker claim a node ID again.  Does not wait for that; calls that
 * make IDs do.
 *
 * Errors: as snowflake_zookeeper_release().
 */
Datum
snowflake_zookeeper_claim(PG_FUNCTION_ARGS)
{
	require_superuser(fcinfo);
	sf_zk_ask(SF_ZK_CLAIM, 0, false, NULL, NULL);
	PG_RETURN_VOID();
}
