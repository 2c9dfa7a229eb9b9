/*-------------------------------------------------------------------------
 *
 * fuzz.c
 *	  What the fuzz targets share.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

uint64_t
fuzz_number(const uint8_t **data, size_t *size, int bytes)
{
	uint64_t	number = 0;

	for (int i = 0; i < bytes && *size > 0; i++)
	{
		number |= (uint64_t) *(*data)++ << 8 * i;
		(*size)--;
	}
	return number;
}

void
fuzz_require_consistent(const SfLayout *layout)
{
	uint64_t	taken = 0;
	int			total = 0;
	int			node = layout->bits[SF_NODE] + layout->bits[SF_DATACENTER] + layout->bits[SF_WORKER];

	for (int f = 0; f < SF_NUM_FIELDS; f++)
	{
		uint64_t	mine;

		if (layout->bits[f] == 0)
			continue;
		require(layout->shift[f] + layout->bits[f] <= SF_MAX_BITS, "field %d is outside", f);
		mine = sf_max_value(layout->bits[f]) << layout->shift[f];
		require((taken & mine) == 0, "field %d overlaps", f);
		taken |= mine;
		total += layout->bits[f];
	}
	require(layout->total_bits == total && taken == sf_max_value(total), "there are gaps");
	require(layout->bits[SF_TIME] > 0 && layout->shift[SF_TIME] + layout->bits[SF_TIME] == total, "time is not on top");
	require(layout->node_bits == node && node <= SF_MAX_INT_BITS, "width of the node ID");
	require(layout->bits[SF_SEQUENCE] <= SF_MAX_INT_BITS, "width of the sequence");
	require(layout->tick_ms >= 1 && layout->tick_ms <= SF_MAX_TICK_MS, "tick");
	require(layout->epoch_ms >= 0 && layout->epoch_ms < SF_EPOCH_END_MS, "epoch");
}

void
fuzz_require_sentence(const SfTextError *error)
{
	const char *end = memchr(error->message, '\0', sizeof(error->message));

	require(end != NULL, "a message has no end");
	require(end > error->message && end[-1] == '.', "a message is no sentence: %s", error->message);
}
