/*-------------------------------------------------------------------------
 *
 * layout.c
 *	  Arithmetic on the fields of an ID.
 *
 *-------------------------------------------------------------------------
 */
#include "layout.h"

#define US_PER_MS	1000

bool
sf_layout_equal(const SfLayout *a, const SfLayout *b)
{
	for (int f = 0; f < SF_NUM_FIELDS; f++)
	{
		if (a->bits[f] != b->bits[f])
			return false;
		if (a->bits[f] > 0 && a->shift[f] != b->shift[f])
			return false;
	}
	return a->tick_ms == b->tick_ms && a->epoch_ms == b->epoch_ms;
}

/*
 * Can IDs of this layout be made?  They need a node ID and a sequence, they
 * must stay positive as a bigint, and every bit must be known.
 */
bool
sf_layout_can_issue(const SfLayout *layout)
{
	return layout->total_bits <= SF_MAX_ISSUED_BITS &&
		layout->node_bits > 0 &&
		sf_layout_has(layout, SF_SEQUENCE) &&
		!sf_layout_has(layout, SF_TAIL);
}

/*
 * The ID with these values.  The caller has checked that each of them fits
 * its field; a field that the layout does not have must be given as 0.
 */
uint64_t
sf_layout_compose(const SfLayout *layout, uint64_t tick, uint32_t node,
				  uint32_t sequence)
{
	uint64_t	id = tick << layout->shift[SF_TIME];

	if (sf_layout_has(layout, SF_NODE))
		id |= (uint64_t) node << layout->shift[SF_NODE];
	else
	{
		id |= (node & sf_max_value(layout->bits[SF_WORKER])) << layout->shift[SF_WORKER];
		if (sf_layout_has(layout, SF_DATACENTER))
			id |= (uint64_t) (node >> layout->bits[SF_WORKER]) << layout->shift[SF_DATACENTER];
	}

	return id | (uint64_t) sequence << layout->shift[SF_SEQUENCE];
}

static inline uint64_t
field_of(const SfLayout *layout, uint64_t id, SfField field)
{
	return (id >> layout->shift[field]) & sf_max_value(layout->bits[field]);
}

/*
 * Take an ID apart.  Returns false when it has bits above the layout's
 * highest field: it cannot be an ID of this layout.
 */
bool
sf_layout_split(const SfLayout *layout, uint64_t id, SfParts *parts)
{
	if (id > sf_max_value(layout->total_bits))
		return false;

	parts->tick = field_of(layout, id, SF_TIME);
	parts->datacenter = field_of(layout, id, SF_DATACENTER);
	parts->worker = field_of(layout, id, SF_WORKER);
	if (sf_layout_has(layout, SF_NODE))
		parts->node = field_of(layout, id, SF_NODE);
	else
		parts->node = parts->datacenter << layout->bits[SF_WORKER] | parts->worker;
	parts->sequence = field_of(layout, id, SF_SEQUENCE);
	parts->tail = field_of(layout, id, SF_TAIL);
	return true;
}

/*
 * The tick of an instant, given in microseconds since 1970: the tick that
 * contains it, or with round_up the first tick that does not start before it.
 */
SfTickStatus
sf_layout_tick(const SfLayout *layout, int64_t unix_us, bool round_up,
			   uint64_t *tick)
{
	int64_t		epoch_us = layout->epoch_ms * US_PER_MS;

	if (unix_us < epoch_us)
		return SF_TICK_BEFORE_EPOCH;
	return sf_layout_tick_since(layout, (uint64_t) unix_us - (uint64_t) epoch_us, round_up, tick);
}

/* The same for an instant given in microseconds since the layout's epoch. */
SfTickStatus
sf_layout_tick_since(const SfLayout *layout, uint64_t since_us, bool round_up,
					 uint64_t *tick)
{
	uint64_t	tick_us = (uint64_t) layout->tick_ms * US_PER_MS;

	*tick = since_us / tick_us;
	if (round_up && since_us % tick_us != 0)
		(*tick)++;
	if (*tick > sf_max_value(layout->bits[SF_TIME]))
		return SF_TICK_AFTER_END;
	return SF_TICK_OK;
}

/*
 * Widths and tick of a layout that can issue, in one positive number; the
 * epoch is kept beside it.  From the highest bits: tick (22 bits), width of
 * the time (6), and for up to three further fields, in their order, which one
 * it is (3) and its width (5).
 */
#define PACK_TICK_BITS	22
#define PACK_TIME_BITS	6
#define PACK_FIELD_BITS	3
#define PACK_WIDTH_BITS	5
#define PACK_FIELDS		3

static uint64_t
take_bits(uint64_t *packed, int bits)
{
	uint64_t	value = *packed & sf_max_value(bits);

	*packed >>= bits;
	return value;
}

int64_t
sf_layout_pack(const SfLayout *layout)
{
	uint64_t	packed = layout->tick_ms;
	int			top = layout->shift[SF_TIME];

	packed = packed << PACK_TIME_BITS | layout->bits[SF_TIME];
	for (int i = 0; i < PACK_FIELDS; i++)
	{
		int			field = 0;

		for (int f = 0; f < SF_NUM_FIELDS; f++)
		{
			if (f != SF_TIME && layout->bits[f] > 0 && layout->shift[f] + layout->bits[f] == top)
				field = f;
		}
		packed = packed << PACK_FIELD_BITS | field;
		packed = packed << PACK_WIDTH_BITS | (field ? layout->bits[field] : 0);
		top -= field ? layout->bits[field] : 0;
	}
	return (int64_t) packed;
}

/* What sf_layout_parse() asks of the fields of the node ID */
static bool
has_sound_node(const SfLayout *layout)
{
	bool		datacenter = sf_layout_has(layout, SF_DATACENTER);
	bool		worker = sf_layout_has(layout, SF_WORKER);

	return layout->node_bits <= SF_MAX_INT_BITS &&
		(sf_layout_has(layout, SF_NODE) ? !datacenter && !worker : worker || !datacenter);
}

/*
 * Returns false where the numbers cannot have come from a layout that
 * sf_layout_parse() reads and sf_layout_pack() packs: so there is one number
 * for each layout.
 */
bool
sf_layout_unpack(int64_t packed, int64_t epoch_ms, SfLayout *layout)
{
	uint64_t	rest = packed;
	int			shift = 0;

	*layout = (SfLayout) {.epoch_ms = epoch_ms};
	for (int i = 0; i < PACK_FIELDS; i++)
	{
		int			bits = take_bits(&rest, PACK_WIDTH_BITS);
		int			field = take_bits(&rest, PACK_FIELD_BITS);

		/* Places that are not used are the lowest ones. */
		if (field >= SF_NUM_FIELDS || (field == 0) != (bits == 0) ||
			layout->bits[field] > 0 || (field == 0 && shift > 0))
			return false;
		layout->bits[field] = bits;
		layout->shift[field] = shift;
		shift += bits;
	}
	layout->bits[SF_TIME] = take_bits(&rest, PACK_TIME_BITS);
	layout->shift[SF_TIME] = shift;
	layout->tick_ms = take_bits(&rest, PACK_TICK_BITS);
	layout->total_bits = shift + layout->bits[SF_TIME];
	layout->node_bits = layout->bits[SF_NODE] + layout->bits[SF_DATACENTER] + layout->bits[SF_WORKER];
	return rest == 0 && layout->bits[SF_TIME] > 0 &&
		layout->tick_ms > 0 && layout->tick_ms <= SF_MAX_TICK_MS &&
		epoch_ms >= 0 && epoch_ms < SF_EPOCH_END_MS &&
		has_sound_node(layout) && sf_layout_can_issue(layout);
}
