/*-------------------------------------------------------------------------
 *
 * simulate.c
 *	  How far many nodes go: a simulation of nodes that make IDs.
 *
 * Each node has a clock of its own that is off by a constant, clients that ask
 * at random times (a Poisson process), and the state and the transition of the
 * real generator (src/step.c).  A request that finds no ID left in its tick
 * waits until the node's clock shows the next one; requests are served one
 * after another.  All IDs of all nodes are looked at in the order of the true
 * time.
 *
 *	  simulate [--layout TEXT] [--nodes N,...] [--rate R,...] [--skew MS,...]
 *	           [--cost NS] [--ids N] [--seconds S] [--seed N]
 *
 * rate is the requests per second of one node; skew how far a clock is off at
 * most, to either side; cost what an ID costs the node.  Each case runs until
 * there are so many IDs, but for at least so many seconds.  Prints CSV, a line
 * for each combination.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "step.h"

#define NS_PER_US		1000
#define NS_PER_MS		1000000
#define NS_PER_SECOND	1000000000

#define MAX_LIST		64

/* True time 0 of the simulation: 2026-01-01, in an arbitrary place of a tick. */
#define BEGIN_NS		(INT64_C(1767225600) * NS_PER_SECOND + 123456)

typedef struct Node
{
	uint64_t	state;
	uint64_t	last_id;
	int64_t		offset_ns;		/* what its clock is ahead of the true time */
	int64_t		arrival_ns;		/* of the request that is served next */
	int64_t		free_ns;		/* when the node has done the one before */
	int64_t		issue_ns;		/* when that request gets its ID */
	uint64_t	id;				/* and which */
	bool		waited;			/* for the clock or behind one that did */
	uint32_t	lot;			/* decides between IDs of one nanosecond */
} Node;

/* An ID greater than all before it, and when it was made. */
typedef struct Peak
{
	uint64_t	id;
	int64_t		ns;
} Peak;

typedef struct Figures
{
	uint64_t	ids;
	uint64_t	waited;			/* requests that waited */
	double		wait_ns;		/* sum over them */
	int64_t		longest_wait_ns;
	uint64_t	falls;			/* IDs below the one made just before */
	uint64_t	late;			/* IDs below any one made before */
	int64_t		latest_ns;		/* longest since a greater one was made */
	int64_t		end_ns;
} Figures;

static SfLayout layout;
static double rate;
static int64_t cost_ns = 100;
static uint64_t random_state;

static void
fail(const char *message)
{
	fprintf(stderr, "simulate: %s\n", message);
	exit(1);
}

/* splitmix64 */
static uint64_t
random_bits(void)
{
	uint64_t	z = (random_state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* In (0, 1]. */
static double
random_part(void)
{
	return ((random_bits() >> 11) + 1) / 9007199254740992.0;	/* 2^53 */
}

static int64_t
next_arrival(int64_t after_ns)
{
	return after_ns + (int64_t) (-log(random_part()) / rate * NS_PER_SECOND);
}

/* The tick that a node's clock shows at a true time. */
static int64_t
tick_at(const Node *node, int64_t ns)
{
	uint64_t	tick;

	if (sf_layout_tick(&layout, (BEGIN_NS + ns + node->offset_ns) / NS_PER_US, false, &tick) != SF_TICK_OK)
		fail("the layout has no IDs for the time of the simulation");
	return (int64_t) tick;
}

/* The true time at which a node's clock comes to a tick. */
static int64_t
time_of_tick(const Node *node, uint64_t tick)
{
	int64_t		unix_ms;

	if (!sf_layout_unix_ms(&layout, tick, &unix_ms))
		fail("the layout's time is over");
	return unix_ms * NS_PER_MS - BEGIN_NS - node->offset_ns;
}

/* Serve the node's next request: when does it get its ID, and which? */
static void
serve(Node *node, uint32_t number)
{
	int64_t		ns = node->arrival_ns > node->free_ns ? node->arrival_ns : node->free_ns;
	bool		clock_waited = false;
	SfParts		parts;

	for (;;)
	{
		SfStep		step;
		SfStepResult result = sf_step(&layout, node->state, tick_at(node, ns), 0, 0, 1, &step);

		if (result == SF_STEP_OK)
		{
			node->state = step.state;
			node->id = sf_layout_compose(&layout, step.tick, number, step.first);
			break;
		}
		if (result != SF_STEP_SEQUENCE_USED_UP && result != SF_STEP_CLOCK_BEHIND)
			fail("the generator refuses");
		ns = time_of_tick(node, step.tick);
		clock_waited = true;
	}

	/*
	 * IDs of a node rise and carry its number; so none of all nodes' is there
	 * twice.
	 */
	if (node->id <= node->last_id)
		fail("an ID does not rise");
	if (!sf_layout_split(&layout, node->id, &parts) || parts.node != number)
		fail("an ID has not the number of its node");
	node->last_id = node->id;

	/* More than the costs of a few requests before it: a wait for the clock. */
	node->waited = clock_waited || (node->waited && ns > node->arrival_ns);
	node->issue_ns = ns;
	node->lot = (uint32_t) random_bits();
	node->free_ns = ns + cost_ns;
}

/* ---- The order of all nodes' IDs ---------------------------------------- */

static Peak *peaks;
static size_t peak_count;
static size_t peak_room;

static void
look_at_order(Figures *figures, uint64_t id, uint64_t before, int64_t ns)
{
	if (id < before)
		figures->falls++;
	if (peak_count > 0 && peaks[peak_count - 1].id > id)
	{
		size_t		low = 0,
					high = peak_count - 1;

		while (low < high)
		{
			size_t		middle = (low + high) / 2;

			if (peaks[middle].id > id)
				high = middle;
			else
				low = middle + 1;
		}
		figures->late++;
		if (ns - peaks[low].ns > figures->latest_ns)
			figures->latest_ns = ns - peaks[low].ns;
		return;
	}
	if (peak_count == peak_room)
	{
		peak_room = peak_room ? 2 * peak_room : 1024;
		peaks = realloc(peaks, peak_room * sizeof(Peak));
		if (!peaks)
			fail("out of memory");
	}
	peaks[peak_count].id = id;
	peaks[peak_count++].ns = ns;
}

/* ---- All nodes, in the order of time ------------------------------------ */

static Node *nodes;

static bool
earlier(uint32_t a, uint32_t b)
{
	return nodes[a].issue_ns < nodes[b].issue_ns ||
		(nodes[a].issue_ns == nodes[b].issue_ns && nodes[a].lot < nodes[b].lot);
}

/* Put the node at the top of a heap where it belongs. */
static void
sift_down(uint32_t *heap, uint32_t count)
{
	uint32_t	at = 0;
	uint32_t	node = heap[0];

	for (;;)
	{
		uint32_t	child = 2 * at + 1;

		if (child >= count)
			break;
		if (child + 1 < count && earlier(heap[child + 1], heap[child]))
			child++;
		if (!earlier(heap[child], node))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = node;
}

static int
compare_issue(const void *a, const void *b)
{
	uint32_t	x = *(const uint32_t *) a,
				y = *(const uint32_t *) b;

	return earlier(x, y) ? -1 : earlier(y, x);
}

static void
simulate(uint32_t count, double skew_ms, uint64_t ids, int64_t least_ns, Figures *figures)
{
	uint32_t   *heap = malloc(count * sizeof(uint32_t));
	uint64_t	before = 0;

	nodes = calloc(count, sizeof(Node));
	if (!nodes || !heap)
		fail("out of memory");
	memset(figures, 0, sizeof(Figures));
	peak_count = 0;
	for (uint32_t i = 0; i < count; i++)
	{
		nodes[i].offset_ns = (int64_t) ((2 * random_part() - 1) * skew_ms * NS_PER_MS);
		nodes[i].arrival_ns = next_arrival(0);
		serve(&nodes[i], i);
		heap[i] = i;
	}
	/* A sorted array is a heap. */
	qsort(heap, count, sizeof(uint32_t), compare_issue);

	for (;;)
	{
		Node	   *node = &nodes[heap[0]];

		if (figures->ids >= ids && node->issue_ns >= least_ns)
			break;
		figures->ids++;
		figures->end_ns = node->issue_ns;
		if (node->waited)
		{
			int64_t		wait = node->issue_ns - node->arrival_ns;

			figures->waited++;
			figures->wait_ns += wait;
			if (wait > figures->longest_wait_ns)
				figures->longest_wait_ns = wait;
		}
		look_at_order(figures, node->id, before, node->issue_ns);
		before = node->id;

		node->arrival_ns = next_arrival(node->arrival_ns);
		serve(node, heap[0]);
		sift_down(heap, count);
	}
	free(heap);
	free(nodes);
}

/* ---- The command -------------------------------------------------------- */

static int
read_list(const char *text, double values[MAX_LIST])
{
	int			count = 0;

	while (count < MAX_LIST)
	{
		char	   *end;

		values[count] = strtod(text, &end);
		if (end == text || values[count++] < 0 || (*end && *end != ','))
			fail("not a list of numbers");
		if (!*end)
			return count;
		text = end + 1;
	}
	fail("too many numbers");
	return 0;
}

int
main(int argc, char **argv)
{
	const char *layout_text = "twitter";
	double		counts[MAX_LIST] = {1},
				rates[MAX_LIST] = {100000},
				skews[MAX_LIST] = {0},
				one[MAX_LIST];
	int			count_count = 1,
				rate_count = 1,
				skew_count = 1;
	double		ids = 1000000,
				seconds = 0.1;
	uint64_t	seed = 1;
	SfTextError error;

	for (int i = 1; i < argc; i += 2)
	{
		const char *value = argv[i + 1];

		if (!value)
			fail("an option has no value");
		if (strcmp(argv[i], "--layout") == 0)
			layout_text = value;
		else if (strcmp(argv[i], "--nodes") == 0)
			count_count = read_list(value, counts);
		else if (strcmp(argv[i], "--rate") == 0)
			rate_count = read_list(value, rates);
		else if (strcmp(argv[i], "--skew") == 0)
			skew_count = read_list(value, skews);
		else
		{
			if (read_list(value, one) != 1)
				fail("one number is wanted");
			if (strcmp(argv[i], "--cost") == 0)
				cost_ns = (int64_t) one[0];
			else if (strcmp(argv[i], "--ids") == 0)
				ids = one[0];
			else if (strcmp(argv[i], "--seconds") == 0)
				seconds = one[0];
			else if (strcmp(argv[i], "--seed") == 0)
				seed = (uint64_t) one[0];
			else
				fail("unknown option");
		}
	}
	if (!sf_layout_parse(layout_text, &layout, &error))
		fail(error.message);
	if (!sf_layout_can_issue(&layout))
		fail("such IDs cannot be made, only decoded");

	printf("layout,nodes,rate,skew_ms,ids,seconds,ids_per_second,waited_percent,mean_wait_us,longest_wait_us,falls_percent,late_percent,latest_ms\n");
	for (int c = 0; c < count_count; c++)
	{
		if (counts[c] < 1 || counts[c] > sf_max_value(layout.node_bits) + 1.0)
			fail("the layout has not so many nodes");
		for (int r = 0; r < rate_count; r++)
			for (int s = 0; s < skew_count; s++)
			{
				Figures		f;

				rate = rates[r];
				if (rate <= 0)
					fail("a rate must be positive");
				random_state = seed;
				simulate((uint32_t) counts[c], skews[s], (uint64_t) ids,
						 (int64_t) (seconds * NS_PER_SECOND), &f);
				printf("%s,%.0f,%g,%g,%llu,%.4f,%.0f,%.4f,%.3f,%.3f,%.4f,%.4f,%.3f\n",
					   layout_text, counts[c], rate, skews[s], (unsigned long long) f.ids,
					   f.end_ns / 1e9, f.ids / (f.end_ns / 1e9),
					   100.0 * f.waited / f.ids, f.waited ? f.wait_ns / f.waited / 1e3 : 0.0,
					   f.longest_wait_ns / 1e3, 100.0 * f.falls / f.ids, 100.0 * f.late / f.ids,
					   f.latest_ns / 1e6);
				fflush(stdout);
			}
	}
	return 0;
}
