/*-------------------------------------------------------------------------
 *
 * test_step.c
 *	  Tests of step.c: the one transition of the generator's state.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "unit.h"
#include "step.h"

#define STEPS_PER_WALK	300000

static const char *const result_names[] = {
	[SF_STEP_OK] = "ok",
	[SF_STEP_SEQUENCE_USED_UP] = "sequence used up",
	[SF_STEP_CLOCK_BEHIND] = "clock behind",
	[SF_STEP_BEFORE_EPOCH] = "before epoch",
	[SF_STEP_TIME_OVER] = "time over",
};

static SfLayout
make_layout(int time, int sequence)
{
	SfLayout	layout = {.tick_ms = 1};

	layout.bits[SF_TIME] = time;
	layout.bits[SF_NODE] = 1;
	layout.bits[SF_SEQUENCE] = sequence;
	layout.shift[SF_NODE] = sequence;
	layout.shift[SF_TIME] = sequence + 1;
	layout.total_bits = sequence + 1 + time;
	layout.node_bits = 1;
	return layout;
}

/* What a caller must not use of *step unless the result is SF_STEP_OK */
static const SfStep untouched = {
	.state = UINT64_C(0xdeadbeefdeadbeef),
	.tick = UINT64_C(0xdeadbeefdeadbeef),
	.first = 0xdeadbeef,
	.count = 0xdeadbeef,
};

/*
 * sf_step(), with what always holds: a new state is above the old one and
 * says just what was handed out, no ID runs further ahead than the lead, and
 * no other result gives out a state or an ID.
 */
static SfStepResult
step_checked(const SfLayout *layout, uint64_t state, int64_t now, uint64_t lead,
			 uint32_t start, uint32_t want, SfStep *step)
{
	SfStepResult result;

	*step = untouched;
	result = sf_step(layout, state, now, lead, start, want, step);

	if (result == SF_STEP_OK)
	{
		check(step->state > state, "state fell from %" PRIu64 " to %" PRIu64, state, step->state);
		check(step->count >= 1 && step->count <= want, "%" PRIu32 " of %" PRIu32 " IDs", step->count, want);
		check(now >= 0 && step->tick >= (uint64_t) now, "tick %" PRIu64 " with the clock at %" PRId64, step->tick, now);
		check(step->tick - now <= lead, "tick %" PRIu64 " with the clock at %" PRId64 " and lead %" PRIu64,
			  step->tick, now, lead);
		check(step->tick <= sf_max_value(layout->bits[SF_TIME]), "tick %" PRIu64 " is past the end", step->tick);
		check((uint64_t) step->first + step->count - 1 <= sf_max_value(layout->bits[SF_SEQUENCE]),
			  "%" PRIu32 " IDs from sequence %" PRIu32, step->count, step->first);
		check(sf_state_tick(layout, step->state) == step->tick &&
			  sf_state_sequence(layout, step->state) == step->first + step->count - 1,
			  "state %" PRIu64 " is not the last ID", step->state);
	}
	else
		check(step->state == untouched.state && step->first == untouched.first && step->count == untouched.count,
			  "%s gave something out", result_names[result]);

	return result;
}

/*
 * The packing of the state
 */

static void
test_state(void **state)
{
	static const struct
	{
		int			time,
					sequence;
	}			widths[] =
	{
		{41, 12}, {39, 8}, {40, 20}, {61, 1}, {31, 31}, {1, 31}, {1, 1}
	};

	(void) state;
	for (int i = 0; i < lengthof(widths); i++)
	{
		SfLayout	layout = make_layout(widths[i].time, widths[i].sequence);
		uint64_t	max_tick = sf_max_value(widths[i].time);
		uint64_t	max_sequence = sf_max_value(widths[i].sequence);
		uint64_t	ticks[] = {0, 1, max_tick / 2 + 1, max_tick};
		uint64_t	sequences[] = {0, 1, max_sequence / 2 + 1, max_sequence};

		for (int t = 0; t < lengthof(ticks); t++)
			for (int s = 0; s < lengthof(sequences); s++)
			{
				uint64_t	packed = sf_state_pack(&layout, ticks[t], sequences[s]);

				assert_true(packed == ticks[t] * (max_sequence + 1) + sequences[s]);
				assert_true(packed < SF_STATE_CLOSED);
				assert_true(sf_state_tick(&layout, packed) == ticks[t]);
				assert_true(sf_state_sequence(&layout, packed) == sequences[s]);
				/* Giving the node ID back leaves the last ID readable. */
				assert_true(sf_state_tick(&layout, packed | SF_STATE_CLOSED) == ticks[t]);
				assert_true(sf_state_sequence(&layout, packed | SF_STATE_CLOSED) == sequences[s]);
			}
	}
}

/*
 * Stories: calls one after the other, each from the state that the one before
 * it left.
 */

/* Where the result says nothing of it */
#define NONE	0

typedef struct Call
{
	int64_t		now;
	uint64_t	lead;
	uint32_t	start;
	uint32_t	want;
	SfStepResult result;
	uint64_t	tick;			/* of the IDs, or to wait for */
	uint32_t	first;
	uint32_t	count;
	uint64_t	behind;			/* of SF_STEP_CLOCK_BEHIND */
} Call;

typedef struct Story
{
	const char *name;
	int			time,
				sequence;		/* widths */
	Call		calls[9];		/* want 0 ends them */
} Story;

#define OK			SF_STEP_OK
#define USED_UP		SF_STEP_SEQUENCE_USED_UP
#define BEHIND		SF_STEP_CLOCK_BEHIND
#define NOT_YET		SF_STEP_BEFORE_EPOCH
#define OVER		SF_STEP_TIME_OVER

/* The state before the first call is 0: tick 0 and its sequence 0 are used. */
static const Story stories[] = {
	{"the clock shows 1, 1, 0, 1", 41, 12, {
			{1, 0, 0, 1, OK, 1, 0, 1, NONE},
			{1, 0, 0, 1, OK, 1, 1, 1, NONE},
			{0, 0, 0, 1, BEHIND, 1, NONE, NONE, 1},
			{1, 0, 0, 1, OK, 1, 2, 1, NONE},
	}},
	{"the very first tick", 41, 12, {
			{0, 0, 0, 1, OK, 0, 1, 1, NONE},
			{0, 0, 0, 1, OK, 0, 2, 1, NONE},
			{1, 0, 0, 1, OK, 1, 0, 1, NONE},
	}},
	{"sequence used up", 41, 2, {
			{5, 0, 0, 1, OK, 5, 0, 1, NONE},
			{5, 0, 0, 1, OK, 5, 1, 1, NONE},
			{5, 0, 0, 1, OK, 5, 2, 1, NONE},
			{5, 0, 0, 1, OK, 5, 3, 1, NONE},
			{5, 0, 0, 1, USED_UP, 6, NONE, NONE, NONE},
			{5, 0, 0, 1, USED_UP, 6, NONE, NONE, NONE},
			{6, 0, 0, 1, OK, 6, 0, 1, NONE},
	}},
	{"batches are cut at the end of the tick", 41, 3, {
			{5, 0, 0, 5, OK, 5, 0, 5, NONE},
			{5, 0, 0, 5, OK, 5, 5, 3, NONE},
			{5, 0, 0, 5, USED_UP, 6, NONE, NONE, NONE},
			{6, 0, 0, UINT32_MAX, OK, 6, 0, 8, NONE},
			{7, 0, 0, 8, OK, 7, 0, 8, NONE},
			{8, 0, 0, 7, OK, 8, 0, 7, NONE},
			{8, 0, 0, 2, OK, 8, 7, 1, NONE},
	}},
	{"batches in a lead", 41, 2, {
			{5, 2, 0, 10, OK, 5, 0, 4, NONE},
			{5, 2, 0, 10, OK, 6, 0, 4, NONE},
			{5, 2, 0, 10, OK, 7, 0, 4, NONE},
			{5, 2, 0, 10, USED_UP, 6, NONE, NONE, NONE},
			{6, 2, 0, 10, OK, 8, 0, 4, NONE},
			{8, 2, 0, 10, OK, 9, 0, 4, NONE},
			{20, 2, 0, 1, OK, 20, 0, 1, NONE},
	}},
	{"clock behind within the lead, and past it", 41, 12, {
			{100, 10, 0, 1, OK, 100, 0, 1, NONE},
			{95, 10, 0, 1, OK, 100, 1, 1, NONE},
			{90, 10, 0, 1, OK, 100, 2, 1, NONE},
			{89, 10, 0, 1, BEHIND, 90, NONE, NONE, 11},
			{0, 10, 0, 1, BEHIND, 90, NONE, NONE, 100},
			{90, 10, 0, 1, OK, 100, 3, 1, NONE},
			{0, 100, 0, 1, OK, 100, 4, 1, NONE},
			{0, UINT64_MAX, 0, 1, OK, 100, 5, 1, NONE},
	}},
	{"clock behind, with the last tick's sequence used up", 41, 1, {
			{100, 0, 0, 2, OK, 100, 0, 2, NONE},
			{50, 0, 0, 1, BEHIND, 101, NONE, NONE, 50},
			{50, 20, 0, 1, BEHIND, 81, NONE, NONE, 50},
			{100, 0, 0, 1, USED_UP, 101, NONE, NONE, NONE},
			{80, 20, 0, 1, USED_UP, 81, NONE, NONE, NONE},
			{81, 20, 0, 1, OK, 101, 0, 1, NONE},
	}},
	{"a lead that is taken away", 41, 1, {
			{10, 5, 0, 2, OK, 10, 0, 2, NONE},
			{10, 5, 0, 2, OK, 11, 0, 2, NONE},
			{10, 5, 0, 1, OK, 12, 0, 1, NONE},
			{10, 0, 0, 1, BEHIND, 12, NONE, NONE, 2},
			{12, 0, 0, 1, OK, 12, 1, 1, NONE},
	}},
	{"the number that a fresh tick starts with", 41, 3, {
			{5, 0, 6, 1, OK, 5, 6, 1, NONE},
			{5, 0, 6, 1, OK, 5, 7, 1, NONE},
			{5, 0, 0, 1, USED_UP, 6, NONE, NONE, NONE},
			{5, 1, 3, 9, OK, 6, 3, 5, NONE},
			{7, 0, 7, 9, OK, 7, 7, 1, NONE},
			{8, 0, 1, 1, OK, 8, 1, 1, NONE},
			{8, 0, 5, 1, OK, 8, 2, 1, NONE},	/* not a fresh tick */
	}},
	{"before the epoch", 41, 12, {
			{-1, 0, 0, 1, NOT_YET, NONE, NONE, NONE, NONE},
			{INT64_MIN, UINT64_MAX, 0, 1, NOT_YET, NONE, NONE, NONE, NONE},
			{3, 0, 0, 1, OK, 3, 0, 1, NONE},
			{-1, UINT64_MAX, 0, 1, NOT_YET, NONE, NONE, NONE, NONE},
			{3, 0, 0, 1, OK, 3, 1, 1, NONE},
	}},
	{"time over by the clock", 3, 1, {
			{8, 0, 0, 1, OVER, NONE, NONE, NONE, NONE},
			{INT64_MAX, UINT64_MAX, 0, 1, OVER, NONE, NONE, NONE, NONE},
			{7, 0, 0, 1, OK, 7, 0, 1, NONE},
			{8, 0, 0, 1, OVER, NONE, NONE, NONE, NONE},
			{7, 0, 0, 1, OK, 7, 1, 1, NONE},
			{8, 0, 0, 1, OVER, NONE, NONE, NONE, NONE},
	}},
	{"time over by the lead", 3, 1, {
			{6, 5, 0, 2, OK, 6, 0, 2, NONE},
			{6, 5, 0, 2, OK, 7, 0, 2, NONE},
			{6, 5, 0, 2, OVER, NONE, NONE, NONE, NONE},
			{8, 5, 0, 2, OVER, NONE, NONE, NONE, NONE},
	}},
	{"no wait for a tick that never comes", 3, 1, {
			{7, 0, 0, 2, OK, 7, 0, 2, NONE},
			{7, 0, 0, 1, OVER, NONE, NONE, NONE, NONE},
			{0, 0, 0, 1, OVER, NONE, NONE, NONE, NONE},
	}},
	{"the widest time", 61, 1, {
			{INT64_C(2305843009213693950), 1, 0, 2, OK, UINT64_C(2305843009213693950), 0, 2, NONE},
			{INT64_C(2305843009213693950), 1, 0, 2, OK, UINT64_C(2305843009213693951), 0, 2, NONE},
			{INT64_C(2305843009213693952), 1, 0, 2, OVER, NONE, NONE, NONE, NONE},
	}},
	{"the widest sequence", 31, 31, {
			{2147483647, 0, 0, UINT32_MAX, OK, 2147483647, 0, 0x80000000, NONE},
	}},
	{"the widest sequence, its last number", 31, 31, {
			{9, 0, 0, 0x7fffffff, OK, 9, 0, 0x7fffffff, NONE},
			{9, 0, 0, UINT32_MAX, OK, 9, 0x7fffffff, 1, NONE},
			{9, 0, 0, 1, USED_UP, 10, NONE, NONE, NONE},
			{10, 0, 0x7fffffff, 2, OK, 10, 0x7fffffff, 1, NONE},
	}},
};

static void
test_stories(void **state)
{
	(void) state;
	for (int i = 0; i < lengthof(stories); i++)
	{
		const Story *story = &stories[i];
		SfLayout	layout = make_layout(story->time, story->sequence);
		uint64_t	word = 0;

		for (int j = 0; j < lengthof(story->calls) && story->calls[j].want > 0; j++)
		{
			const Call *call = &story->calls[j];
			SfStep		step;
			SfStepResult result = step_checked(&layout, word, call->now, call->lead, call->start, call->want, &step);

			check(result == call->result, "%s: call %d: %s instead of %s",
				  story->name, j, result_names[result], result_names[call->result]);
			if (result == OK || result == USED_UP || result == BEHIND)
				check(step.tick == call->tick, "%s: call %d: tick %" PRIu64 " instead of %" PRIu64,
					  story->name, j, step.tick, call->tick);
			if (result == BEHIND)
				check(step.behind == call->behind, "%s: call %d: %" PRIu64 " ticks behind", story->name, j, step.behind);
			if (result == OK)
			{
				check(step.first == call->first && step.count == call->count,
					  "%s: call %d: %" PRIu32 " IDs from %" PRIu32, story->name, j, step.count, step.first);
				word = step.state;
			}
		}
	}
}

/*
 * All of a small layout: every state, clock, lead, start and count against
 * the definition, which is that the next ID is the lowest one
 *	- above the last one,
 *	- not before the clock, nor further ahead of it than the lead,
 *	- that in a tick of its own has no sequence number below the start.
 */

#define SMALL_TIME		3
#define SMALL_SEQUENCE	2
#define SMALL_TICKS		(1 << SMALL_TIME)
#define SMALL_NUMBERS	(1 << SMALL_SEQUENCE)

static bool
lowest_id(int last_tick, int last_sequence, int now, int lead, int start, int *tick, int *sequence)
{
	for (int t = now; t < SMALL_TICKS && t <= now + lead; t++)
		for (int s = 0; s < SMALL_NUMBERS; s++)
		{
			if (t < last_tick || (t == last_tick && s <= last_sequence) || (t > last_tick && s < start))
				continue;
			*tick = t;
			*sequence = s;
			return true;
		}
	return false;
}

/* The first tick of the clock from now on with which there is an ID, or -1 */
static int
first_clock(int last_tick, int last_sequence, int now, int lead, int start)
{
	int			tick,
				sequence;

	for (int clock = now; clock < SMALL_TICKS; clock++)
	{
		if (lowest_id(last_tick, last_sequence, clock, lead, start, &tick, &sequence))
			return clock;
	}
	return -1;
}

static void
check_small(int last_tick, int last_sequence, int now, int lead, int start, int want)
{
	const SfLayout layout = make_layout(SMALL_TIME, SMALL_SEQUENCE);
	uint64_t	word = sf_state_pack(&layout, last_tick, last_sequence);
	SfStep		step;
	SfStepResult result = step_checked(&layout, word, now, lead, start, want, &step);
	SfStepResult expected;
	int			tick = -1,
				sequence = -1;
	int			clock = first_clock(last_tick, last_sequence, now < 0 ? 0 : now, lead, start);

	if (now < 0)
		expected = NOT_YET;
	else if (clock < 0)
		expected = OVER;
	else if (lowest_id(last_tick, last_sequence, now, lead, start, &tick, &sequence))
		expected = OK;
	else
		expected = last_tick - now > lead ? BEHIND : USED_UP;

#define SMALL_CASE	"last ID (%d, %d), clock %d, lead %d, start %d, want %d"
#define SMALL_ARGS	last_tick, last_sequence, now, lead, start, want

	check(result == expected, SMALL_CASE ": %s instead of %s",
		  SMALL_ARGS, result_names[result], result_names[expected]);
	if (result == OK)
	{
		int			count = want < SMALL_NUMBERS - sequence ? want : SMALL_NUMBERS - sequence;

		check(step.tick == (uint64_t) tick && step.first == (uint32_t) sequence && step.count == (uint32_t) count,
			  SMALL_CASE ": %" PRIu32 " IDs from (%" PRIu64 ", %" PRIu32 ")",
			  SMALL_ARGS, step.count, step.tick, step.first);
	}
	if (result == BEHIND || result == USED_UP)
		check(step.tick == (uint64_t) clock, SMALL_CASE ": %s, wait for %" PRIu64 " instead of %d",
			  SMALL_ARGS, result_names[result], step.tick, clock);
	if (result == BEHIND)
		check(step.behind == (uint64_t) (last_tick - now), SMALL_CASE ": %" PRIu64 " ticks behind",
			  SMALL_ARGS, step.behind);
}

static void
test_all_of_a_small_layout(void **state)
{
	(void) state;
	for (int last_tick = 0; last_tick < SMALL_TICKS; last_tick++)
		for (int last_sequence = 0; last_sequence < SMALL_NUMBERS; last_sequence++)
			for (int now = -2; now <= SMALL_TICKS + 1; now++)
				for (int lead = 0; lead <= SMALL_TICKS + 1; lead++)
					for (int start = 0; start < SMALL_NUMBERS; start++)
						for (int want = 1; want <= SMALL_NUMBERS + 1; want++)
							check_small(last_tick, last_sequence, now, lead, start, want);
}

/*
 * Random walks of the clock.
 */

typedef struct Walk
{
	int			time,
				sequence;		/* widths */
	uint64_t	lead;
	uint32_t	most_start;		/* a fresh tick starts with 0 to this */
} Walk;

static const Walk walks[] = {
	{16, 2, 0, 0},
	{41, 12, 0, 0},
	{41, 3, 0, 7},
	{16, 2, 1, 0},
	{41, 3, 5, 3},
	{40, 20, 1000, 0},
};

/* Stays, goes on, jumps and goes back, seldom to before the epoch */
static int64_t
move_clock(int64_t now, uint64_t lead)
{
	switch (unit_random_below(16))
	{
		case 0:
			return now + unit_random_below(5);
		case 1:
			return now - (int64_t) unit_random_below(4);
		case 2:
			return now - (int64_t) unit_random_below(2 * lead + 2);
		case 3:
			return unit_random_below(100) == 0 ? now + (int64_t) unit_random_below(2 * lead + 1000) : now;
		case 4:
			return unit_random_below(1000) == 0 ? -1 - (int64_t) unit_random_below(3) : now;
		case 5:
		case 6:
		case 7:
		case 8:
			return now + 1;
		default:
			return now;
	}
}

/*
 * Where a wait ends: with the clock at step->tick the same call succeeds, and
 * one tick before that it does not.
 */
static void
check_wait(const SfLayout *layout, uint64_t word, uint64_t lead, uint32_t start, uint32_t want,
		   int64_t now, SfStepResult waiting, uint64_t until)
{
	SfStepResult result;
	SfStep		step;

	check(until > (uint64_t) now, "%s at %" PRId64 ": wait for %" PRIu64, result_names[waiting], now, until);
	result = step_checked(layout, word, until, lead, start, want, &step);
	check(result == OK, "%s at %" PRId64 ", state (%" PRIu64 ", %" PRIu32 "), lead %" PRIu64
		  ": wait for %" PRIu64 ", but then %s", result_names[waiting], now,
		  sf_state_tick(layout, word), sf_state_sequence(layout, word), lead, until, result_names[result]);
	result = step_checked(layout, word, until - 1, lead, start, want, &step);
	check(result == USED_UP || result == BEHIND, "%s at %" PRId64 ": wait for %" PRIu64 ", but %s before",
		  result_names[waiting], now, until, result_names[result]);
}

/* IDs strictly rise, and an error leaves the next call where it was. */
static void
take_walk(const Walk *walk, bool check_waits)
{
	SfLayout	layout = make_layout(walk->time, walk->sequence);
	uint64_t	word = 0;
	uint64_t	last_id = 0;
	int64_t		now = 0;
	int			seen[lengthof(result_names)] = {0};

	for (int i = 0; i < STEPS_PER_WALK; i++)
	{
		uint32_t	start = unit_random_below((uint64_t) walk->most_start + 1);
		uint32_t	want = 1 + unit_random_below(unit_random_below(2) == 0 ? 1 : sf_max_value(walk->sequence) + 3);
		SfStep		step;
		SfStepResult result;

		now = move_clock(now, walk->lead);
		result = step_checked(&layout, word, now, walk->lead, start, want, &step);
		seen[result]++;

		switch (result)
		{
			case OK:
				{
					uint64_t	first_id = sf_layout_compose(&layout, step.tick, 1, step.first);

					check(first_id > last_id, "ID %" PRIu64 " after %" PRIu64, first_id, last_id);
					last_id = sf_layout_compose(&layout, step.tick, 1, step.first + step.count - 1);
					word = step.state;
					break;
				}
			case USED_UP:
			case BEHIND:
				if (check_waits)
					check_wait(&layout, word, walk->lead, start, want, now, result, step.tick);
				break;
			case NOT_YET:
				check(now < 0, "before the epoch at %" PRId64, now);
				now = sf_state_tick(&layout, word);
				break;
			case OVER:
				check(now + walk->lead >= sf_max_value(walk->time), "time is over at %" PRId64, now);
				word = last_id = now = 0;
				break;
		}
	}

	/* The walk went everywhere; a time of 41 bits does not end in it. */
	for (int result = 0; result < lengthof(seen); result++)
		check(seen[result] > 0 || (result == OVER && walk->time > 16) || (result == USED_UP && walk->sequence > 12),
			  "the walk never met \"%s\"", result_names[result]);
}

static void
test_walks(void **state)
{
	(void) state;
	for (int i = 0; i < lengthof(walks); i++)
		take_walk(&walks[i], false);
}

static void
test_waits(void **state)
{
	(void) state;
	for (int i = 0; i < lengthof(walks); i++)
		take_walk(&walks[i], true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_stories),
		cmocka_unit_test(test_all_of_a_small_layout),
		cmocka_unit_test_setup(test_walks, unit_seed),
		cmocka_unit_test_setup(test_waits, unit_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
