/*-------------------------------------------------------------------------
 *
 * fuzz_ids.c
 *	  Fuzz target: IDs and their fields, ticks and instants, packed layouts.
 *
 * The input is a row of numbers: which layout (a preset, one that is unpacked
 * from a number, or fields in some order), then an ID, fields and an instant.
 * What is composed must come apart into the same fields and the other way
 * round, and a tick must contain the instants that are taken for it.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

/* Can the fields of any ID of this layout be given to sf_layout_compose()? */
static bool
is_composable(const SfLayout *layout)
{
	return !sf_layout_has(layout, SF_TAIL);
}

static void
check_id(const SfLayout *layout, uint64_t id)
{
	SfParts		parts;
	bool		fits = sf_layout_split(layout, id, &parts);

	require(fits == (id <= sf_max_value(layout->total_bits)), "%" PRIu64 " is taken for an ID: %d", id, fits);
	if (!fits)
		return;
	require(parts.tick <= sf_max_value(layout->bits[SF_TIME]) &&
			parts.node <= sf_max_value(layout->node_bits) &&
			parts.sequence <= sf_max_value(layout->bits[SF_SEQUENCE]) &&
			parts.tail <= sf_max_value(layout->bits[SF_TAIL]), "%" PRIu64 " has a field that is too large", id);
	if (is_composable(layout))
		require(sf_layout_compose(layout, parts.tick, parts.node, parts.sequence) == id,
				"%" PRIu64 " is composed to something else", id);
}

static void
check_fields(const SfLayout *layout, uint64_t tick, uint32_t node, uint32_t sequence)
{
	uint64_t	id;
	SfParts		parts;

	tick &= sf_max_value(layout->bits[SF_TIME]);
	node &= sf_max_value(layout->node_bits);
	sequence &= sf_max_value(layout->bits[SF_SEQUENCE]);
	id = sf_layout_compose(layout, tick, node, sequence);
	require(sf_layout_split(layout, id, &parts), "%" PRIu64 " is not taken for an ID", id);
	require(parts.tick == tick && parts.node == node && parts.sequence == sequence && parts.tail == 0,
			"%" PRIu64 " comes apart into something else", id);
	require((parts.datacenter << layout->bits[SF_WORKER] | parts.worker) == (sf_layout_has(layout, SF_NODE) ? 0 : node),
			"%" PRIu64 ": parts of the node ID", id);
}

static void
check_instant(const SfLayout *layout, int64_t unix_us)
{
	__int128	tick_us = (__int128) layout->tick_ms * 1000;
	__int128	since = (__int128) unix_us - (__int128) layout->epoch_ms * 1000;
	__int128	last = sf_max_value(layout->bits[SF_TIME]);

	for (int round_up = 0; round_up <= 1; round_up++)
	{
		uint64_t	tick;
		SfTickStatus status = sf_layout_tick(layout, unix_us, round_up, &tick);
		__int128	expected = since < 0 ? -1 : (since + (round_up ? tick_us - 1 : 0)) / tick_us;

		require(status == (expected < 0 ? SF_TICK_BEFORE_EPOCH : expected > last ? SF_TICK_AFTER_END : SF_TICK_OK),
				"%" PRId64 " us: status %d", unix_us, status);
		if (status == SF_TICK_OK)
			require((__int128) tick == expected, "%" PRId64 " us: tick %" PRIu64, unix_us, tick);
	}
}

static void
check_tick(const SfLayout *layout, uint64_t tick)
{
	__int128	expected = (__int128) tick * layout->tick_ms + layout->epoch_ms;
	int64_t		unix_ms;
	bool		fits = sf_layout_unix_ms(layout, tick, &unix_ms);

	require(fits == (tick <= INT64_MAX && expected <= INT64_MAX), "tick %" PRIu64 " has a time: %d", tick, fits);
	if (fits)
		require(unix_ms == expected, "tick %" PRIu64 " is at %" PRId64, tick, unix_ms);
}

static void
check_packed(int64_t packed, const SfLayout *layout)
{
	SfLayout	again;

	fuzz_require_consistent(layout);
	require(sf_layout_can_issue(layout), "a layout was unpacked that cannot issue");
	require(sf_layout_unpack(sf_layout_pack(layout), layout->epoch_ms, &again), "a packed layout is not unpacked");
	require(sf_layout_equal(layout, &again), "a packed layout is unpacked to another");
	/* One layout must not have two numbers: these are compared. */
	require(sf_layout_pack(&again) == packed, "%" PRId64 " is packed as %" PRId64, packed, sf_layout_pack(&again));
}

/* A layout of fields whose names and widths are the bytes of a number */
static bool
layout_of_fields(uint64_t number, int64_t epoch_ms, SfLayout *layout)
{
	static const char *const names[] = {"datacenter", "worker", "node", "sequence", "tail"};
	char		text[SF_LAYOUT_TEXT_SIZE];
	int			used = snprintf(text, sizeof(text), "time:%d", 1 + (int) (number & 63));
	SfTextError error;

	for (int i = 0; i < 4; i++)
	{
		unsigned	byte = number >> (8 + 12 * i) & 255;
		unsigned	width = number >> (16 + 12 * i) & 15;

		if (width > 0)
			used += snprintf(text + used, sizeof(text) - used, " %s:%u", names[byte % 5], width + (byte >= 128 ? 16 : 0));
	}
	snprintf(text + used, sizeof(text) - used, " tick:%dms", 1 + (int) ((number >> 56) % 100));
	if (!sf_layout_parse(text, layout, &error))
		return false;
	layout->epoch_ms = epoch_ms;
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t		kind = fuzz_number(&data, &size, 1);
	uint64_t	number = fuzz_number(&data, &size, 8);
	int64_t		epoch_ms = fuzz_number(&data, &size, 6) % SF_EPOCH_END_MS;
	uint64_t	id = fuzz_number(&data, &size, 8);
	uint64_t	tick = fuzz_number(&data, &size, 8);
	uint32_t	node = fuzz_number(&data, &size, 4);
	uint32_t	sequence = fuzz_number(&data, &size, 4);
	int64_t		unix_us = fuzz_number(&data, &size, 8);
	SfLayout	layout;

	if (kind < (size_t) sf_layout_preset_count())
		layout = sf_layout_preset(kind)->layout;
	else if (kind % 2 == 0)
	{
		if (!sf_layout_unpack(number, epoch_ms, &layout))
			return 0;
		check_packed(number, &layout);
	}
	else if (!layout_of_fields(number, epoch_ms, &layout))
		return 0;

	fuzz_require_consistent(&layout);
	if (sf_layout_can_issue(&layout))
		check_packed(sf_layout_pack(&layout), &layout);
	check_id(&layout, id);
	check_id(&layout, id & sf_max_value(layout.total_bits));
	if (is_composable(&layout))
		check_fields(&layout, tick, node, sequence);
	check_instant(&layout, unix_us);
	check_instant(&layout, layout.epoch_ms * 1000 + (unix_us & INT64_C(0xffffff)));
	check_tick(&layout, tick);
	check_tick(&layout, tick & sf_max_value(layout.bits[SF_TIME]));
	return 0;
}
