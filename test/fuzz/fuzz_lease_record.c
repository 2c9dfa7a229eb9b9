/*-------------------------------------------------------------------------
 *
 * fuzz_lease_record.c
 *	  Fuzz target: what the nodes in ZooKeeper hold.
 *
 * The input is the text of a record.  Others may write there, so one that is
 * accepted must be just what would be written for it, and be no longer one
 * when a byte is missing or there is one more.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"
#include "zookeeper/record.h"

typedef union AnyRecord
{
	SfConfigRecord config;
	SfLedgerRecord ledger;
	SfNodeRecord node;
} AnyRecord;

typedef enum RecordKind
{
	CONFIG_RECORD,
	LEDGER_RECORD,
	NODE_RECORD
} RecordKind;

static bool
parse(RecordKind kind, const char *text, size_t length, AnyRecord *record)
{
	/* A block of just this size, and none to read from for no bytes */
	char	   *exact = malloc(length > 0 ? length : 1);
	const char *start = length > 0 ? exact : exact + 1;
	SfRecordError error;
	bool		taken;

	memcpy(exact, text, length);
	memset(record, 'x', sizeof(*record));
	memset(&error, 'x', sizeof(error));
	if (kind == CONFIG_RECORD)
		taken = sf_config_parse(start, length, &record->config, &error);
	else if (kind == LEDGER_RECORD)
		taken = sf_ledger_parse(start, length, &record->ledger, &error);
	else
		taken = sf_node_parse(start, length, &record->node, &error);
	free(exact);

	if (!taken)
	{
		const char *end = memchr(error.message, '\0', sizeof(error.message));

		require(end != NULL && end > error.message, "kind %d is refused without a reason", kind);
	}
	return taken;
}

static size_t
format(RecordKind kind, const AnyRecord *record, char buf[SF_RECORD_SIZE])
{
	if (kind == CONFIG_RECORD)
		return sf_config_format(&record->config, buf);
	if (kind == LEDGER_RECORD)
		return sf_ledger_format(&record->ledger, buf);
	return sf_node_format(&record->node, buf);
}

static void
require_ranges(RecordKind kind, const AnyRecord *record)
{
	if (kind == CONFIG_RECORD)
		require(record->config.generation >= 1 && record->config.floor_ms >= 0 &&
				record->config.floor_ms <= SF_RECORD_MAX_MS, "config: a number is out of range");
	else if (kind == LEDGER_RECORD)
		require(record->ledger.claim >= 1 && record->ledger.claim < INT64_MAX &&
				record->ledger.low_ms >= 0 && record->ledger.low_ms <= record->ledger.high_ms &&
				record->ledger.high_ms <= SF_RECORD_MAX_MS, "ledger: a number is out of range");
	else
		require(record->node.since_ms >= 0 && record->node.since_ms <= SF_RECORD_MAX_MS &&
				record->node.high_ms >= 0 && record->node.high_ms <= SF_RECORD_MAX_MS, "node: a number is out of range");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *) data;
	int			kinds = 0;

	for (RecordKind kind = CONFIG_RECORD; kind <= NODE_RECORD; kind++)
	{
		AnyRecord	record;
		char	   *written;
		char	   *longer;
		size_t		length;

		if (!parse(kind, text, size, &record))
			continue;
		kinds++;
		require_ranges(kind, &record);
		written = malloc(SF_RECORD_SIZE);
		length = format(kind, &record, written);
		require(length == size && written[length] == '\0' && memcmp(written, text, size) == 0,
				"kind %d: \"%.*s\" is written \"%s\"", kind, (int) size, text, written);
		free(written);

		require(!parse(kind, text, size - 1, &record), "kind %d: a byte is missing: \"%.*s\"", kind, (int) size, text);
		longer = malloc(size + 1);
		memcpy(longer, text, size);
		longer[size] = size % 2 == 0 ? '\n' : '\0';
		require(!parse(kind, longer, size + 1, &record), "kind %d: a byte too many: \"%.*s\"", kind, (int) size, text);
		free(longer);
	}
	require(kinds <= 1, "\"%.*s\" is of %d kinds", (int) size, text, kinds);
	return 0;
}
