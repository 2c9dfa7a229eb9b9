/*-------------------------------------------------------------------------
 *
 * test_layout.c
 *	  Tests of layout.c: the arithmetic on the fields of an ID.
 *
 * What is expected is computed by multiplication and division with powers of
 * two and in 128 bits, not by the shifts and the overflow checks under test.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "unit.h"

#define LAYOUTS			50000
#define IDS_PER_LAYOUT	40
#define INSTANTS		1000000

typedef __int128 wide;

/* Lowest bit and width of a field; width 0 where there is none */
typedef struct Range
{
	int			low;
	int			width;
} Range;

typedef struct Expected
{
	const char *name;
	Range		range[SF_NUM_FIELDS];
	int			tick_ms;
	int64_t		epoch_ms;
	bool		can_issue;
} Expected;

/*
 * As the generators' own documentation has it, lowest bits counted from 0.
 * The fields are time, datacenter, worker, node, sequence, tail.
 */
static const Expected expected[] = {
	{"twitter", {{22, 41}, {17, 5}, {12, 5}, {0, 0}, {0, 12}, {0, 0}},
	1, INT64_C(1288834974657), true},
	{"discord", {{22, 42}, {17, 5}, {12, 5}, {0, 0}, {0, 12}, {0, 0}},
	1, INT64_C(1420070400000), false},
	{"instagram", {{23, 41}, {0, 0}, {0, 0}, {10, 13}, {0, 10}, {0, 0}},
	1, INT64_C(1314220021721), false},
	{"mastodon", {{16, 48}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 16}},
	1, INT64_C(0), false},
	{"sonyflake", {{24, 39}, {0, 0}, {0, 0}, {0, 16}, {16, 8}, {0, 0}},
	10, INT64_C(1409529600000), true},
	{"pgedge", {{22, 41}, {0, 0}, {0, 0}, {12, 10}, {0, 12}, {0, 0}},
	1, INT64_C(1672531200000), true},
	{"leaf", {{22, 41}, {0, 0}, {0, 0}, {12, 10}, {0, 12}, {0, 0}},
	1, INT64_C(1288834974657), true},
	{"shardingsphere", {{22, 41}, {0, 0}, {0, 0}, {12, 10}, {0, 12}, {0, 0}},
	1, INT64_C(1477958400000), true},
	{"js53", {{12, 41}, {0, 0}, {7, 5}, {0, 0}, {0, 7}, {0, 0}},
	1, INT64_C(1735689600000), true},
};

/* 2^n for n up to 64 */
static wide
power_of_two(int n)
{
	wide		result = 1;

	while (n-- > 0)
		result *= 2;
	return result;
}

/* The parts of an ID in the order of SfField, the node ID as it is stored */
static void
stored_fields(const SfLayout *layout, const SfParts *parts, uint64_t value[SF_NUM_FIELDS])
{
	value[SF_TIME] = parts->tick;
	value[SF_DATACENTER] = parts->datacenter;
	value[SF_WORKER] = parts->worker;
	value[SF_NODE] = sf_layout_has(layout, SF_NODE) ? parts->node : 0;
	value[SF_SEQUENCE] = parts->sequence;
	value[SF_TAIL] = parts->tail;
}

/*
 * Compose (where there is no tail, which compose does not know) and split an
 * ID of these field values against the sum of value * 2^low.
 */
static void
check_id(const char *name, const SfLayout *layout, const Range range[SF_NUM_FIELDS],
		 const uint64_t value[SF_NUM_FIELDS])
{
	wide		sum = 0;
	uint64_t	id;
	uint64_t	node;
	uint64_t	got[SF_NUM_FIELDS];
	SfParts		parts;

	for (int f = 0; f < SF_NUM_FIELDS; f++)
		sum += (wide) value[f] * power_of_two(range[f].low);
	id = sum;

	node = range[SF_NODE].width > 0 ? value[SF_NODE] :
		value[SF_DATACENTER] * (uint64_t) power_of_two(range[SF_WORKER].width) + value[SF_WORKER];

	if (range[SF_TAIL].width == 0)
	{
		uint64_t	composed = sf_layout_compose(layout, value[SF_TIME], node, value[SF_SEQUENCE]);

		check(composed == id, "%s: composed %" PRIu64 " instead of %" PRIu64, name, composed, id);
	}

	check(sf_layout_split(layout, id, &parts), "%s: %" PRIu64 " was refused", name, id);
	check(parts.node == node, "%s: node of %" PRIu64 " is %" PRIu32 " instead of %" PRIu64,
		  name, id, parts.node, node);
	stored_fields(layout, &parts, got);
	for (int f = 0; f < SF_NUM_FIELDS; f++)
		check(got[f] == value[f], "%s: field %d of %" PRIu64 " is %" PRIu64 " instead of %" PRIu64,
			  name, f, id, got[f], value[f]);
}

static void
test_max_value(void **state)
{
	(void) state;
	assert_int_equal(sf_max_value(0), 0);
	for (int bits = 1; bits <= 64; bits++)
		check(sf_max_value(bits) == (uint64_t) (power_of_two(bits) - 1), "%d bits", bits);
}

static void
test_presets(void **state)
{
	(void) state;
	assert_int_equal(sf_layout_preset_count(), lengthof(expected));
	for (int i = 0; i < lengthof(expected); i++)
	{
		const Expected *e = &expected[i];
		const SfLayout *layout = unit_preset(e->name);
		int			total = 0;

		for (int f = 0; f < SF_NUM_FIELDS; f++)
		{
			total += e->range[f].width;
			check(sf_layout_has(layout, f) == (e->range[f].width > 0), "%s: has field %d", e->name, f);
		}
		check(layout->total_bits == total, "%s: total width", e->name);
		check(layout->node_bits == e->range[SF_NODE].width + e->range[SF_DATACENTER].width + e->range[SF_WORKER].width,
			  "%s: width of the node ID", e->name);
		check(layout->tick_ms == e->tick_ms, "%s: tick", e->name);
		check(layout->epoch_ms == e->epoch_ms, "%s: epoch", e->name);
		check(sf_layout_can_issue(layout) == e->can_issue, "%s: can issue", e->name);
	}
}

/* Every combination of 0, 1, the highest bit and the maximum of every field */
static void
test_preset_borders(void **state)
{
	(void) state;
	for (int i = 0; i < lengthof(expected); i++)
	{
		const Expected *e = &expected[i];
		const SfLayout *layout = unit_preset(e->name);

		for (int choice = 0; choice < 1 << (2 * SF_NUM_FIELDS); choice++)
		{
			uint64_t	value[SF_NUM_FIELDS];

			for (int f = 0; f < SF_NUM_FIELDS; f++)
			{
				wide		end = power_of_two(e->range[f].width);
				uint64_t	border[] = {0, 1, end / 2, end - 1};

				value[f] = e->range[f].width > 0 ? border[choice >> (2 * f) & 3] : 0;
			}
			check_id(e->name, layout, e->range, value);
		}
	}
}

/* Each bit of an ID belongs to one field, and IDs with more bits are refused. */
static void
test_preset_bits(void **state)
{
	(void) state;
	for (int i = 0; i < lengthof(expected); i++)
	{
		const Expected *e = &expected[i];
		const SfLayout *layout = unit_preset(e->name);
		SfParts		parts;
		uint64_t	value[SF_NUM_FIELDS];

		for (int bit = 0; bit < 64; bit++)
		{
			uint64_t	id = power_of_two(bit);
			int			owners = 0;

			if (bit >= layout->total_bits)
			{
				check(!sf_layout_split(layout, id, &parts), "%s: bit %d was accepted", e->name, bit);
				check(!sf_layout_split(layout, id + 1, &parts), "%s: bit %d was accepted", e->name, bit);
				continue;
			}
			check(sf_layout_split(layout, id, &parts), "%s: bit %d was refused", e->name, bit);
			stored_fields(layout, &parts, value);
			for (int f = 0; f < SF_NUM_FIELDS; f++)
				owners += value[f] != 0;
			check(owners == 1, "%s: bit %d is in %d fields", e->name, bit, owners);
		}

		check(sf_layout_split(layout, (uint64_t) (power_of_two(layout->total_bits) - 1), &parts),
			  "%s: the largest ID was refused", e->name);
		check(sf_layout_split(layout, UINT64_MAX, &parts) == (layout->total_bits == 64),
			  "%s: 64 ones", e->name);
	}
}

typedef struct KnownId
{
	const char *layout;
	uint64_t	id;
	const char *created_at;		/* as ISO 8601 in UTC */
	uint32_t	datacenter,
				worker,
				node,
				sequence;
	uint64_t	tail;
} KnownId;

/*
 * IDs from the world with what their issuers say of them: Twitter's and
 * Discord's are the examples of Wikipedia's article and of Discord's API
 * reference, Instagram's is the one worked out in "Sharding & IDs", pgEdge's
 * is in its page on Hibernate.  The one of Mastodon's Status entity was made 52 ms
 * before its created_at.  Sonyflake documents none: that is, by its formula,
 * 29967840012 ticks, sequence 200, machine 54321.
 */
static const KnownId known_ids[] = {
	{"twitter", UINT64_C(1541815603606036480), "2022-06-28T16:07:40.105Z", 11, 26, 378, 0, 0},
	{"discord", UINT64_C(175928847299117063), "2016-04-30T11:18:25.796Z", 1, 0, 32, 7, 0},
	{"instagram", UINT64_C(11637205501278089), "2011-09-09T22:28:04.721Z", 0, 0, 1341, 905, 0},
	{"mastodon", UINT64_C(103270115826048975), "2019-12-08T03:48:33.849Z", 0, 0, 0, 0, 40911},
	{"sonyflake", UINT64_C(502776924947928113), "2024-02-29T12:00:00.120Z", 0, 0, 54321, 200, 0},
	{"pgedge", UINT64_C(170505378935607296), "2024-04-15T12:07:30.175Z", 0, 0, 1, 0, 0},
};

static void
test_known_ids(void **state)
{
	(void) state;
	for (int i = 0; i < lengthof(known_ids); i++)
	{
		const KnownId *k = &known_ids[i];
		const SfLayout *layout = unit_preset(k->layout);
		int64_t		created_ms,
					unix_ms;
		SfTextError error;
		SfParts		parts;

		check(sf_epoch_parse(k->created_at, &created_ms, &error), "%s: %s", k->layout, error.message);
		check(sf_layout_split(layout, k->id, &parts), "%s: refused", k->layout);
		check(sf_layout_unix_ms(layout, parts.tick, &unix_ms), "%s: no time", k->layout);
		check(unix_ms == created_ms, "%s: time is %" PRId64 " instead of %" PRId64,
			  k->layout, unix_ms, created_ms);
		check(parts.datacenter == k->datacenter, "%s: datacenter %" PRIu32, k->layout, parts.datacenter);
		check(parts.worker == k->worker, "%s: worker %" PRIu32, k->layout, parts.worker);
		check(parts.node == k->node, "%s: node %" PRIu32, k->layout, parts.node);
		check(parts.sequence == k->sequence, "%s: sequence %" PRIu32, k->layout, parts.sequence);
		check(parts.tail == k->tail, "%s: tail %" PRIu64, k->layout, parts.tail);
	}
}

static void
test_random_ids(void **state)
{
	(void) state;
	for (int i = 0; i < LAYOUTS; i++)
	{
		SfLayout	layout;
		Range		range[SF_NUM_FIELDS];
		char		text[SF_LAYOUT_TEXT_SIZE];

		unit_random_layout(&layout);
		sf_layout_format(&layout, text);
		for (int f = 0; f < SF_NUM_FIELDS; f++)
		{
			range[f].low = layout.shift[f];
			range[f].width = layout.bits[f];
		}

		for (int j = 0; j < IDS_PER_LAYOUT; j++)
		{
			uint64_t	value[SF_NUM_FIELDS];
			SfParts		parts;

			for (int f = 0; f < SF_NUM_FIELDS; f++)
				value[f] = unit_random_value(layout.bits[f]);
			check_id(text, &layout, range, value);

			if (layout.total_bits < 64)
			{
				uint64_t	big = unit_random() | (uint64_t) power_of_two(layout.total_bits);

				check(!sf_layout_split(&layout, big, &parts), "%s: %" PRIu64 " was accepted", text, big);
			}
		}
	}
}

static SfLayout
make_layout(int time, int node, int sequence, int tail)
{
	SfLayout	layout = {.tick_ms = 1};

	layout.bits[SF_TIME] = time;
	layout.bits[SF_NODE] = node;
	layout.bits[SF_SEQUENCE] = sequence;
	layout.bits[SF_TAIL] = tail;
	layout.shift[SF_SEQUENCE] = tail;
	layout.shift[SF_NODE] = tail + sequence;
	layout.shift[SF_TIME] = tail + sequence + node;
	layout.total_bits = tail + sequence + node + time;
	layout.node_bits = node;
	return layout;
}

static void
test_can_issue(void **state)
{
	static const struct
	{
		int			time,
					node,
					sequence,
					tail;
		bool		can_issue;
	}			cases[] =
	{
		{41, 10, 12, 0, true},
		{1, 1, 1, 0, true},
		{61, 1, 1, 0, true},
		{1, 31, 31, 0, true},
		{62, 1, 1, 0, false},	/* the sign bit would be used */
		{41, 0, 12, 0, false},
		{41, 10, 0, 0, false},
		{41, 10, 11, 1, false},
		{64, 0, 0, 0, false},
	};

	(void) state;
	for (int i = 0; i < lengthof(cases); i++)
	{
		SfLayout	layout = make_layout(cases[i].time, cases[i].node, cases[i].sequence, cases[i].tail);

		check(sf_layout_can_issue(&layout) == cases[i].can_issue, "case %d", i);
	}
}

static void
test_equal(void **state)
{
	const SfLayout base = make_layout(41, 10, 12, 0);
	SfLayout	other;

	(void) state;
	other = base;
	assert_true(sf_layout_equal(&base, &other));
	other.shift[SF_TAIL] = 7;	/* of a field that is not there */
	assert_true(sf_layout_equal(&base, &other));

	other = base;
	other.tick_ms = 10;
	assert_false(sf_layout_equal(&base, &other));
	other = base;
	other.epoch_ms = 1;
	assert_false(sf_layout_equal(&base, &other));
	for (int f = 0; f < SF_NUM_FIELDS; f++)
	{
		other = base;
		other.bits[f]++;
		check(!sf_layout_equal(&base, &other), "width of field %d", f);
		check(!sf_layout_equal(&other, &base), "width of field %d", f);
		other = base;
		other.shift[f]++;
		check(sf_layout_equal(&base, &other) == !sf_layout_has(&base, f), "place of field %d", f);
	}

	/* The same widths in another order are another layout. */
	other = *unit_preset("leaf");
	other.shift[SF_NODE] = 0;
	other.shift[SF_SEQUENCE] = 10;
	assert_false(sf_layout_equal(unit_preset("leaf"), &other));
}

/*
 * The tick of an instant
 */

#define US(ms)			((ms) * INT64_C(1000))
#define TWITTER_US		US(INT64_C(1288834974657))
#define SONYFLAKE_US	US(INT64_C(1409529600000))
#define MAX41			INT64_C(2199023255551)
#define MAX39			INT64_C(549755813887)

typedef struct TickCase
{
	const char *layout;
	int64_t		unix_us;
	SfTickStatus status;		/* of the tick that contains it */
	uint64_t	floor;
	uint64_t	ceiling;
	SfTickStatus ceiling_status;	/* of the first tick not before it */
} TickCase;

static const TickCase tick_cases[] = {
	{"twitter", TWITTER_US, SF_TICK_OK, 0, 0, SF_TICK_OK},
	{"twitter", TWITTER_US - 1, SF_TICK_BEFORE_EPOCH, 0, 0, SF_TICK_BEFORE_EPOCH},
	{"twitter", TWITTER_US + 1, SF_TICK_OK, 0, 1, SF_TICK_OK},
	{"twitter", TWITTER_US + 999, SF_TICK_OK, 0, 1, SF_TICK_OK},
	{"twitter", TWITTER_US + 1000, SF_TICK_OK, 1, 1, SF_TICK_OK},
	{"twitter", TWITTER_US + 1001, SF_TICK_OK, 1, 2, SF_TICK_OK},
	{"twitter", TWITTER_US + US(MAX41) - 1, SF_TICK_OK, MAX41 - 1, MAX41, SF_TICK_OK},
	{"twitter", TWITTER_US + US(MAX41), SF_TICK_OK, MAX41, MAX41, SF_TICK_OK},
	{"twitter", TWITTER_US + US(MAX41) + 1, SF_TICK_OK, MAX41, 0, SF_TICK_AFTER_END},
	{"twitter", TWITTER_US + US(MAX41) + 999, SF_TICK_OK, MAX41, 0, SF_TICK_AFTER_END},
	{"twitter", TWITTER_US + US(MAX41) + 1000, SF_TICK_AFTER_END, 0, 0, SF_TICK_AFTER_END},
	{"twitter", 0, SF_TICK_BEFORE_EPOCH, 0, 0, SF_TICK_BEFORE_EPOCH},
	{"twitter", -1, SF_TICK_BEFORE_EPOCH, 0, 0, SF_TICK_BEFORE_EPOCH},
	{"twitter", INT64_MIN, SF_TICK_BEFORE_EPOCH, 0, 0, SF_TICK_BEFORE_EPOCH},
	{"twitter", INT64_MAX, SF_TICK_AFTER_END, 0, 0, SF_TICK_AFTER_END},
	{"sonyflake", SONYFLAKE_US + 9999, SF_TICK_OK, 0, 1, SF_TICK_OK},
	{"sonyflake", SONYFLAKE_US + 10000, SF_TICK_OK, 1, 1, SF_TICK_OK},
	{"sonyflake", SONYFLAKE_US + 10 * US(MAX39) + 9999, SF_TICK_OK, MAX39, 0, SF_TICK_AFTER_END},
	{"sonyflake", SONYFLAKE_US + 10 * US(MAX39) + 10000, SF_TICK_AFTER_END, 0, 0, SF_TICK_AFTER_END},
	{"mastodon", 0, SF_TICK_OK, 0, 0, SF_TICK_OK},
	{"mastodon", -1, SF_TICK_BEFORE_EPOCH, 0, 0, SF_TICK_BEFORE_EPOCH},
	{"mastodon", INT64_MIN, SF_TICK_BEFORE_EPOCH, 0, 0, SF_TICK_BEFORE_EPOCH},
	{"mastodon", INT64_MAX, SF_TICK_AFTER_END, 0, 0, SF_TICK_AFTER_END},
};

static void
check_tick(const char *name, const SfLayout *layout, int64_t unix_us, bool round_up,
		   SfTickStatus status, uint64_t tick)
{
	uint64_t	got = 0;
	SfTickStatus got_status = sf_layout_tick(layout, unix_us, round_up, &got);

	check(got_status == status, "%s: %" PRId64 " us, round_up %d: status %d instead of %d",
		  name, unix_us, round_up, got_status, status);
	check(status != SF_TICK_OK || got == tick,
		  "%s: %" PRId64 " us, round_up %d: tick %" PRIu64 " instead of %" PRIu64,
		  name, unix_us, round_up, got, tick);
}

/* An instant after the epoch, which may be later than int64 microseconds from 1970 */
static void
check_tick_since(const SfLayout *layout, uint64_t since_us, bool round_up)
{
	wide		tick_us = (wide) layout->tick_ms * 1000;
	wide		wanted = ((wide) since_us + (round_up ? tick_us - 1 : 0)) / tick_us;
	bool		is_after = wanted >= power_of_two(layout->bits[SF_TIME]);
	uint64_t	got = 0;
	SfTickStatus status = sf_layout_tick_since(layout, since_us, round_up, &got);

	check(status == (is_after ? SF_TICK_AFTER_END : SF_TICK_OK), "%" PRIu64 " us since the epoch, round_up %d: status %d",
		  since_us, round_up, status);
	check(is_after || got == (uint64_t) wanted, "%" PRIu64 " us since the epoch, round_up %d: tick %" PRIu64,
		  since_us, round_up, got);
}

static void
test_tick(void **state)
{
	(void) state;
	for (int i = 0; i < lengthof(tick_cases); i++)
	{
		const TickCase *c = &tick_cases[i];
		const SfLayout *layout = unit_preset(c->layout);

		check_tick(c->layout, layout, c->unix_us, false, c->status, c->floor);
		check_tick(c->layout, layout, c->unix_us, true, c->ceiling_status, c->ceiling);
	}
}

/* All of int64 microseconds, and more densely the ends of random layouts */
static void
test_random_ticks(void **state)
{
	(void) state;
	for (int i = 0; i < INSTANTS; i++)
	{
		SfLayout	layout;
		wide		tick_us,
					start,
					end,
					unix_us,
					floor,
					ceiling;

		unit_random_layout(&layout);
		check_tick_since(&layout, unit_random() >> unit_random_below(64), i % 2);
		check_tick_since(&layout, UINT64_MAX - unit_random_below(3), i % 2);
		tick_us = (wide) layout.tick_ms * 1000;
		start = (wide) layout.epoch_ms * 1000;
		end = power_of_two(layout.bits[SF_TIME]);

		switch (unit_random_below(4))
		{
			case 0:
				unix_us = (int64_t) unit_random();
				break;
			case 1:
				unix_us = start - 2 + unit_random_below(5);
				break;
			case 2:
				unix_us = start + end * tick_us - 2 + unit_random_below(5);
				break;
			default:
				unix_us = start + unit_random_value(layout.bits[SF_TIME]) * tick_us + unit_random_below(3) - 1;
				break;
		}
		if (unix_us < INT64_MIN || unix_us > INT64_MAX)
			continue;

		floor = (unix_us - start) / tick_us;
		ceiling = (unix_us - start + tick_us - 1) / tick_us;
		check_tick("random layout", &layout, unix_us, false,
				   unix_us < start ? SF_TICK_BEFORE_EPOCH : floor >= end ? SF_TICK_AFTER_END : SF_TICK_OK, floor);
		check_tick("random layout", &layout, unix_us, true,
				   unix_us < start ? SF_TICK_BEFORE_EPOCH : ceiling >= end ? SF_TICK_AFTER_END : SF_TICK_OK, ceiling);
	}
}

/*
 * The instant of a tick
 */

#define LATEST_EPOCH	INT64_C(253402300799999)

static void
test_unix_ms(void **state)
{
	static const struct
	{
		int32_t		tick_ms;
		int64_t		epoch_ms;
		uint64_t	tick;
		bool		fits;
		int64_t		unix_ms;
	}			cases[] =
	{
		{1, 0, 0, true, 0},
		{1, 0, INT64_MAX, true, INT64_MAX},
		{1, 0, (uint64_t) INT64_MAX + 1, false, 0},
		{1, 0, UINT64_MAX, false, 0},
		{1, 1, INT64_MAX, false, 0},
		{1, 1, INT64_MAX - 1, true, INT64_MAX},
		{1, LATEST_EPOCH, INT64_MAX - LATEST_EPOCH, true, INT64_MAX},
		{1, LATEST_EPOCH, INT64_MAX - LATEST_EPOCH + 1, false, 0},
		{10, 5, 7, true, 75},
		{3600000, 0, INT64_MAX / 3600000, true, INT64_MAX / 3600000 * 3600000},
		{3600000, 0, INT64_MAX / 3600000 + 1, false, 0},
		{3600000, 0, UINT64_MAX / 3600000 + 2, false, 0},	/* wraps to a small one */
		{3600000, LATEST_EPOCH, INT64_MAX / 3600000, false, 0},
	};

	(void) state;
	for (int i = 0; i < lengthof(cases); i++)
	{
		SfLayout	layout = make_layout(64, 0, 0, 0);
		int64_t		unix_ms = -1;

		layout.tick_ms = cases[i].tick_ms;
		layout.epoch_ms = cases[i].epoch_ms;
		check(sf_layout_unix_ms(&layout, cases[i].tick, &unix_ms) == cases[i].fits, "case %d: fits", i);
		check(!cases[i].fits || unix_ms == cases[i].unix_ms, "case %d: %" PRId64, i, unix_ms);
	}
}

static void
test_random_unix_ms(void **state)
{
	(void) state;
	for (int i = 0; i < INSTANTS; i++)
	{
		SfLayout	layout;
		uint64_t	tick;
		wide		expected_ms;
		int64_t		unix_ms = -1;
		bool		fits;

		unit_random_layout(&layout);
		tick = unit_random_value(layout.bits[SF_TIME]);
		expected_ms = (wide) tick * layout.tick_ms + layout.epoch_ms;
		fits = sf_layout_unix_ms(&layout, tick, &unix_ms);
		check(fits == (expected_ms <= INT64_MAX) && (!fits || unix_ms == expected_ms),
			  "tick %" PRIu64 " of %" PRId32 " ms, epoch %" PRId64 ": fits %d, %" PRId64,
			  tick, layout.tick_ms, layout.epoch_ms, fits, unix_ms);
	}
}

/*
 * The packed form must give the same layout back, and a number that is not
 * one of a layout must be told from it: it comes from a table of the database.
 */
static void
test_pack(void **state)
{
	int			packed_layouts = 0;
	int			good_numbers = 0;

	(void) state;
	for (int i = 0; i < INSTANTS; i++)
	{
		SfLayout	layout;
		SfLayout	again;
		int64_t		packed;

		unit_random_layout(&layout);
		if (sf_layout_can_issue(&layout))
		{
			packed = sf_layout_pack(&layout);
			check(packed > 0 && sf_layout_unpack(packed, layout.epoch_ms, &again) &&
				  sf_layout_equal(&layout, &again) &&
				  layout.total_bits == again.total_bits && layout.node_bits == again.node_bits,
				  "a layout is another after packing, number %" PRId64, packed);
			packed_layouts++;

			/* One bit off is another layout or none, never the same. */
			packed ^= INT64_C(1) << unit_random_below(63);
		}
		else
			packed = (int64_t) unit_random();

		if (sf_layout_unpack(packed, layout.epoch_ms, &again))
		{
			check(sf_layout_pack(&again) == packed && !sf_layout_equal(&layout, &again),
				  "number %" PRId64 " is unpacked to a layout that packs to another", packed);
			good_numbers++;
		}
	}
	check(packed_layouts > 0 && good_numbers > 0, "nothing was packed or unpacked");
}

/* The number of a layout with these fields from the highest bit, made by hand */
static int64_t
number_of(int tick_ms, int time, int field1, int bits1, int field2, int bits2, int field3, int bits3)
{
	return (((((INT64_C(1) * tick_ms << 6 | time) << 3 | field1) << 5 | bits1) << 3 | field2) << 5 | bits2) << 8 | field3 << 5 | bits3;
}

/* Numbers and epochs that no layout has */
static void
test_not_packed(void **state)
{
	static const int64_t good_epochs[] = {0, 1, INT64_C(1288834974657), SF_EPOCH_END_MS - 1};
	static const int64_t bad_epochs[] = {-1, SF_EPOCH_END_MS, INT64_MIN, INT64_MAX};
	const int64_t good[] = {
		number_of(1, 41, SF_DATACENTER, 5, SF_WORKER, 5, SF_SEQUENCE, 12),
		number_of(1, 41, SF_NODE, 10, SF_SEQUENCE, 12, 0, 0),
		number_of(1, 1, SF_SEQUENCE, 31, SF_NODE, 31, 0, 0),
		number_of(SF_MAX_TICK_MS, 20, SF_SEQUENCE, 12, SF_WORKER, 15, SF_DATACENTER, 16),
	};
	const int64_t bad[] = {
		0, 1, -1, INT64_MIN, INT64_MAX,
		number_of(0, 41, SF_NODE, 10, SF_SEQUENCE, 12, 0, 0),
		number_of(SF_MAX_TICK_MS + 1, 41, SF_NODE, 10, SF_SEQUENCE, 12, 0, 0),
		number_of(1, 0, SF_NODE, 10, SF_SEQUENCE, 12, 0, 0),
		number_of(1, 42, SF_NODE, 10, SF_SEQUENCE, 12, 0, 0),	/* the sign bit */
		number_of(1, 41, SF_NODE, 10, 0, 0, SF_SEQUENCE, 12),	/* a gap */
		number_of(1, 41, 0, 0, SF_NODE, 10, SF_SEQUENCE, 12),
		number_of(1, 41, 0, 0, SF_SEQUENCE, 12, SF_NODE, 10),
		number_of(1, 41, SF_NODE, 10, SF_SEQUENCE, 12, 0, 1),
		number_of(1, 41, SF_NODE, 10, SF_SEQUENCE, 12, SF_TAIL, 0),
		number_of(1, 41, SF_NODE, 10, SF_SEQUENCE, 11, SF_TAIL, 1),
		number_of(1, 41, SF_NODE, 10, SF_SEQUENCE, 11, 6, 1),
		number_of(1, 41, SF_NODE, 10, SF_SEQUENCE, 11, 7, 1),
		number_of(1, 41, SF_NODE, 5, SF_NODE, 5, SF_SEQUENCE, 12),
		number_of(1, 41, SF_NODE, 10, 0, 0, 0, 0),
		number_of(1, 41, SF_SEQUENCE, 12, 0, 0, 0, 0),
		number_of(1, 41, SF_NODE, 5, SF_WORKER, 5, SF_SEQUENCE, 12),
		number_of(1, 41, SF_DATACENTER, 5, SF_NODE, 5, SF_SEQUENCE, 12),
		number_of(1, 41, SF_DATACENTER, 10, SF_SEQUENCE, 12, 0, 0),
		number_of(1, 20, SF_DATACENTER, 16, SF_WORKER, 16, SF_SEQUENCE, 8),
	};

	(void) state;
	for (int i = 0; i < lengthof(good); i++)
		for (int e = 0; e < lengthof(good_epochs); e++)
		{
			SfLayout	layout;

			check(sf_layout_unpack(good[i], good_epochs[e], &layout), "layout %d is refused", i);
			check(sf_layout_pack(&layout) == good[i], "layout %d is packed to another number", i);
			check(!sf_layout_unpack(good[i], bad_epochs[e], &layout), "an epoch of %" PRId64 " is taken", bad_epochs[e]);
		}
	for (int i = 0; i < lengthof(bad); i++)
	{
		SfLayout	layout;

		check(!sf_layout_unpack(bad[i], 0, &layout), "number %d is unpacked", i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_max_value),
		cmocka_unit_test(test_presets),
		cmocka_unit_test(test_preset_borders),
		cmocka_unit_test(test_preset_bits),
		cmocka_unit_test(test_known_ids),
		cmocka_unit_test_setup(test_random_ids, unit_seed),
		cmocka_unit_test(test_can_issue),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_tick),
		cmocka_unit_test_setup(test_random_ticks, unit_seed),
		cmocka_unit_test(test_unix_ms),
		cmocka_unit_test_setup(test_random_unix_ms, unit_seed),
		cmocka_unit_test_setup(test_pack, unit_seed),
		cmocka_unit_test(test_not_packed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
