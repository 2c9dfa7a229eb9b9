/*-------------------------------------------------------------------------
 *
 * unit.c
 *	  What the unit tests share.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define DEFAULT_SEED	20101104L

int
unit_seed(void **state)
{
	const char *text = getenv("SNOWFLAKE_TEST_SEED");
	long		seed = text != NULL && *text != '\0' ? atol(text) : DEFAULT_SEED;

	(void) state;
	print_message("SNOWFLAKE_TEST_SEED=%ld\n", seed);
	srand48(seed);
	return 0;
}

uint64_t
unit_random(void)
{
	uint64_t	high = (uint32_t) mrand48();

	return high << 32 | (uint32_t) mrand48();
}

uint64_t
unit_random_below(uint64_t n)
{
	return unit_random() % n;
}

uint64_t
unit_random_value(int bits)
{
	uint64_t	max = sf_max_value(bits);

	switch (unit_random_below(8))
	{
		case 0:
			return 0;
		case 1:
			return max;
		case 2:
			return max ^ (max >> 1);	/* the highest bit alone */
		default:
			return unit_random() & max;
	}
}

void
unit_random_layout(SfLayout *layout)
{
	SfField		order[SF_NUM_FIELDS];
	int			fields = 0;
	int			left = SF_MAX_BITS - 1; /* time has at least one */
	int			node_left = SF_MAX_INT_BITS;
	int			kind = unit_random_below(4);

	memset(layout, 0, sizeof(*layout));

	if (kind == 1)
		order[fields++] = SF_NODE;
	if (kind >= 2)
		order[fields++] = SF_WORKER;
	if (kind == 3)
		order[fields++] = SF_DATACENTER;
	if (unit_random_below(8) != 0)
		order[fields++] = SF_SEQUENCE;
	if (unit_random_below(4) == 0)
		order[fields++] = SF_TAIL;

	for (int i = 0; i < fields; i++)
	{
		int			others = fields - 1 - i;
		int			room = left - others;
		int			j = i + unit_random_below(others + 1);
		SfField		field = order[j];

		order[j] = order[i];
		order[i] = field;

		if (field == SF_SEQUENCE && room > SF_MAX_INT_BITS)
			room = SF_MAX_INT_BITS;
		if (field == SF_NODE && room > node_left)
			room = node_left;
		if (field == SF_WORKER || field == SF_DATACENTER)
		{
			/* leave a bit to the other half of the node ID */
			int			half = kind == 3 && node_left == SF_MAX_INT_BITS;

			if (room > node_left - half)
				room = node_left - half;
		}
		layout->bits[field] = 1 + unit_random_below(room);
		left -= layout->bits[field];
		if (field == SF_NODE || field == SF_WORKER || field == SF_DATACENTER)
			node_left -= layout->bits[field];
	}
	layout->bits[SF_TIME] = 1 + left;
	if (unit_random_below(4) != 0)
		layout->bits[SF_TIME] = 1 + unit_random_below(1 + left);

	for (int i = fields - 1; i >= 0; i--)
	{
		layout->shift[order[i]] = layout->total_bits;
		layout->total_bits += layout->bits[order[i]];
	}
	layout->shift[SF_TIME] = layout->total_bits;
	layout->total_bits += layout->bits[SF_TIME];
	layout->node_bits = SF_MAX_INT_BITS - node_left;

	layout->tick_ms = unit_random_below(2) == 0 ? 1 : 1 + unit_random_below(SF_MAX_TICK_MS);
	if (unit_random_below(4) == 0)
		layout->tick_ms = 1000 * (1 + unit_random_below(SF_MAX_TICK_MS / 1000));
	layout->epoch_ms = unit_random_below(SF_EPOCH_END_MS);
}

const SfLayout *
unit_preset(const char *name)
{
	for (int i = 0; i < sf_layout_preset_count(); i++)
	{
		if (strcmp(sf_layout_preset(i)->name, name) == 0)
			return &sf_layout_preset(i)->layout;
	}
	fail_msg("there is no preset \"%s\"", name);
	return NULL;
}
