/*-------------------------------------------------------------------------
 *
 * test_choose.c
 *	  Tests of zookeeper/choose.c, skew.c and report.c: which node ID to claim,
 *	  whose clock is out, and what the leader says.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"
#include "choose.h"
#include "report.h"
#include "skew.h"

#define NOW				INT64_C(1700000000000)
#define RANDOM_CASES	20000
#define DAY_MS			INT64_C(86400000)

static SfCandidate
candidate(uint32_t id, int64_t high_ms)
{
	SfCandidate c = {.id = id, .valid = true, .modified_ms = high_ms};

	c.ledger.claim = 1;
	c.ledger.high_ms = high_ms;
	strcpy(c.ledger.owner, "other");
	return c;
}

static SfChoiceRules
rules_of(uint32_t first, uint32_t last)
{
	return (SfChoiceRules) {.first = first, .last = last, .now_ms = NOW, .owner = "own", .spread = 1};
}

/* The one that we had, before one never used, before the one unused for longest. */
static void
test_order(void **state)
{
	SfCandidate c[3] = {candidate(0, NOW - 10), candidate(1, NOW - 30), candidate(2, NOW - 20)};
	SfChoiceRules rules = rules_of(0, 2);
	SfChoice	choice;

	(void) state;
	sf_choose(c, 3, &rules, &choice);
	assert_int_equal(choice.kind, SF_CHOICE_LEDGER);
	assert_int_equal(choice.id, 1);

	rules.last = 3;
	sf_choose(c, 3, &rules, &choice);
	assert_int_equal(choice.kind, SF_CHOICE_NEW);
	assert_int_equal(choice.id, 3);

	strcpy(c[0].ledger.owner, "own");
	strcpy(c[2].ledger.owner, "own");
	sf_choose(c, 3, &rules, &choice);
	assert_int_equal(choice.kind, SF_CHOICE_LEDGER);
	check(choice.id == 0, "of two that we had, %" PRIu32 " is not the last", choice.id);

	/* Not while another has it. */
	c[0].held = true;
	sf_choose(c, 3, &rules, &choice);
	assert_int_equal(choice.id, 2);
	c[2].ledger.retired = true;
	sf_choose(c, 3, &rules, &choice);
	assert_int_equal(choice.kind, SF_CHOICE_NEW);
}

static void
test_reasons(void **state)
{
	SfCandidate c[6] = {candidate(0, NOW - 1), candidate(1, NOW - 1), candidate(2, NOW - 1),
	candidate(3, NOW + 7), candidate(4, NOW + 5), candidate(9, NOW - 1)};
	SfChoiceRules rules = rules_of(0, 4);
	SfChoice	choice;

	(void) state;
	c[0].held = true;
	c[1].ledger.retired = true;
	c[2].valid = false;
	sf_choose(c, 6, &rules, &choice);
	assert_int_equal(choice.kind, SF_CHOICE_NONE);
	assert_int_equal(choice.held, 1);
	assert_int_equal(choice.retired, 1);
	assert_int_equal(choice.unreadable, 1);
	assert_int_equal(choice.too_early, 2);
	assert_true(choice.earliest_ms == NOW + 5);

	/* Once that time has come. */
	rules.now_ms = NOW + 5;
	sf_choose(c, 6, &rules, &choice);
	assert_int_equal(choice.kind, SF_CHOICE_LEDGER);
	assert_int_equal(choice.id, 4);

	/* A floor keeps all of them back, the unused ones too. */
	rules.last = 5;
	rules.floor_ms = NOW + 100;
	sf_choose(c, 6, &rules, &choice);
	assert_int_equal(choice.kind, SF_CHOICE_NONE);
	assert_true(choice.earliest_ms == NOW + 100);
	rules.now_ms = NOW + 100;
	sf_choose(c, 6, &rules, &choice);
	assert_int_equal(choice.kind, SF_CHOICE_NEW);
	assert_int_equal(choice.id, 5);
}

/* Against a slow and simple way to say what may be chosen. */
static void
test_any(void **state)
{
	int			kinds[3] = {0, 0, 0};

	(void) state;
	for (int i = 0; i < RANDOM_CASES; i++)
	{
		SfCandidate c[12];
		int			n = 0;
		SfChoiceRules rules;
		SfChoice	choice;
		uint32_t	first = unit_random_below(6);
		uint32_t	last = first + unit_random_below(8);
		bool		has_ledger[16] = {false};
		int			better = 0;
		int			free_ledgers = 0;
		bool		had_one = false;
		int			unused = last - first + 1;

		for (uint32_t id = 0; id < 12; id++)
		{
			if (unit_random_below(3) == 0)
				continue;
			c[n] = candidate(id, NOW - 4 + unit_random_below(6));
			c[n].held = unit_random_below(4) == 0;
			c[n].valid = unit_random_below(8) != 0;
			c[n].ledger.retired = unit_random_below(8) == 0;
			if (unit_random_below(6) == 0)
				strcpy(c[n].ledger.owner, "own");
			has_ledger[id] = true;
			n++;
		}
		rules = rules_of(first, last);
		rules.spread = 1 + unit_random_below(4);
		rules.random = unit_random();
		sf_choose(c, n, &rules, &choice);
		kinds[choice.kind]++;

		for (int j = 0; j < n; j++)
		{
			bool		in_range = c[j].id >= first && c[j].id <= last;
			bool		free = in_range && c[j].valid && !c[j].held && !c[j].ledger.retired && c[j].ledger.high_ms <= NOW;

			unused -= in_range;
			free_ledgers += free;
			had_one |= free && strcmp(c[j].ledger.owner, "own") == 0;
			if (choice.kind == SF_CHOICE_LEDGER && j == choice.index)
				check(free && c[j].id == choice.id, "node ID %" PRIu32 " is not free", choice.id);
			if (choice.kind == SF_CHOICE_LEDGER && free && c[j].ledger.high_ms < c[choice.index].ledger.high_ms)
				better++;
		}
		switch (choice.kind)
		{
			case SF_CHOICE_NONE:
				check(unused == 0 && free_ledgers == 0, "nothing of %d and %d", unused, free_ledgers);
				break;
			case SF_CHOICE_NEW:
				check(!had_one && choice.id >= first && choice.id <= last && !has_ledger[choice.id],
					  "%" PRIu32 " was used, or we had one", choice.id);
				break;
			case SF_CHOICE_LEDGER:
				if (strcmp(c[choice.index].ledger.owner, "own") != 0)
					check(unused == 0 && !had_one && better < rules.spread,
						  "%d unused, %d are unused for longer, spread %d", unused, better, rules.spread);
				break;
		}
	}
	assert_true(kinds[SF_CHOICE_NONE] > 0 && kinds[SF_CHOICE_NEW] > 0 && kinds[SF_CHOICE_LEDGER] > 0);
}

/* All that are unused can be chosen, each as often as the others. */
static void
test_even(void **state)
{
	SfCandidate c[2] = {candidate(3, NOW), candidate(5, NOW)};
	SfChoiceRules rules = rules_of(2, 6);
	int			chosen[8] = {0};
	SfChoice	choice;

	(void) state;
	for (int i = 0; i < 300; i++)
	{
		rules.random = i;
		sf_choose(c, 2, &rules, &choice);
		chosen[choice.id]++;
	}
	assert_int_equal(chosen[2], 100);
	assert_int_equal(chosen[4], 100);
	assert_int_equal(chosen[6], 100);
}

/* ---- clocks --------------------------------------------------------------- */

static void
test_offset(void **state)
{
	/* Asked at 1 s, answered at 1.2 s, and the leader's clock showed NOW. */
	SfClockSample sample = {true, NOW, 1000000, 1200000};
	SfClockOffset offset;

	(void) state;

	/* At 5 s it is NOW + 3.8 s to NOW + 4.001 s. */
	offset = sf_skew_offset(&sample, NOW + 4000, 5000000);
	check(offset.offset_us - offset.error_us <= -1000 && offset.offset_us + offset.error_us >= 200000,
		  "%" PRId64 " +- %" PRId64, offset.offset_us, offset.error_us);
	check(offset.error_us <= 102000, "the error is %" PRId64, offset.error_us);
	assert_true(sf_skew_latest_ms(&sample, 5000000) == NOW + 4001);

	/* A clock that is set shows at once; the other goes on. */
	offset = sf_skew_offset(&sample, NOW + 3604000, 5000000);
	assert_true(offset.offset_us > INT64_C(3599000000) && offset.offset_us < INT64_C(3601000000));
}

static void
test_skew(void **state)
{
	SfClockOffset others[6];
	SfClockOffset ours = {5000000, 1000};
	static const SfClockOffset right = {2000, 1000};
	static const SfClockOffset wrong = {5000000, 1000};

	(void) state;

	/* ZooKeeper's own clock is there always. */
	check(sf_skew_from_others(&ours, others, 0) == 4999000, "alone");

	others[0] = right;
	check(sf_skew_from_others(&ours, others, 1) == 4999000 - 3000, "against one other");
	others[0] = wrong;
	check(sf_skew_from_others(&ours, others, 1) == 0, "one of two is as wrong as we are");
	others[0] = wrong;
	others[1] = wrong;
	check(sf_skew_from_others(&ours, others, 2) == 0, "most are");
	others[0] = wrong;
	others[1] = right;
	check(sf_skew_from_others(&ours, others, 2) == 4999000 - 3000, "most are not");
	ours.offset_us = -5000000;
	others[0] = wrong;
	others[1] = right;
	check(sf_skew_from_others(&ours, others, 2) == -4999000 - 1000, "behind");

	/* What is not known well is not held against anybody. */
	ours = (SfClockOffset) {5000000, 6000000};
	check(sf_skew_from_others(&ours, others, 0) == 0, "an offset that is not known");
}

/* ---- the leader's report ---------------------------------------------------- */

static void
test_report(void **state)
{
	SfCandidate c[20];
	SfReportNode nodes[3] = {{4, {0, 500}}, {5, {100, 500}}, {6, {-3000000, 500}}};
	SfClockOffset scratch[4];
	char		text[SF_REPORT_SIZE];

	(void) state;
	for (int i = 0; i < 20; i++)
		c[i] = candidate(i, NOW - DAY_MS);
	sf_report(c, 20, 0, 1023, NOW, nodes, 2, scratch, 1000, text);
	assert_string_equal(text, "");

	c[3].ledger.high_ms = NOW - 8 * DAY_MS;
	c[7].ledger.high_ms = NOW - 8 * DAY_MS;
	c[7].held = true;
	c[9].ledger.high_ms = NOW - 8 * DAY_MS;
	c[11].ledger.high_ms = NOW - 8 * DAY_MS;
	c[11].ledger.retired = true;
	sf_report(c, 20, 0, 1023, NOW, nodes, 3, scratch, 1000, text);
	assert_string_equal(text, "the clock of node ID 6 is at least 2.999 s behind the others; "
						"node IDs that nobody has held for 7 days: 3, 9");

	for (int i = 0; i < 20; i++)
	{
		c[i].held = i != 3;
		c[i].ledger.high_ms = NOW - 8 * DAY_MS;
	}
	sf_report(c, 20, 0, 19, NOW, nodes, 0, scratch, 1000, text);
	assert_string_equal(text, "node IDs are running out: 1 of 20 can be had; "
						"node IDs that nobody has held for 7 days: 3");

	for (int i = 0; i < 20; i++)
		c[i].held = false;
	sf_report(c, 20, 0, 19, NOW, nodes, 0, scratch, 1000, text);
	assert_string_equal(text, "node IDs that nobody has held for 7 days: 0, 1, 2, 3, 4, 5, 6, 7 and 11 more");
}

/* Used up for long by a wrong clock; and what is out of the range. */
static void
test_report_used_up(void **state)
{
	SfCandidate c[20];
	SfClockOffset scratch[1];
	char		text[SF_REPORT_SIZE];

	(void) state;
	for (int i = 0; i < 20; i++)
		c[i] = candidate(i, NOW + DAY_MS);
	sf_report(c, 20, 0, 19, NOW, NULL, 0, scratch, 1000, text);
	assert_string_equal(text, "");

	for (int i = 0; i < 20; i++)
		c[i].ledger.high_ms = i == 5 ? NOW + DAY_MS : i == 6 ? NOW + DAY_MS + 1 : SF_RECORD_MAX_MS;
	for (int i = 8; i < 20; i++)
		c[i].held = true;
	c[0].ledger.retired = true;
	c[1].valid = false;
	c[2].ours = true;
	sf_report(c, 20, 0, 19, NOW, NULL, 0, scratch, 1000, text);
	assert_string_equal(text, "node IDs are running out: 1 of 20 can be had; "
						"node IDs that are used up for more than a day to come: 3, 4, 6, 7");

	/* Two of eleven never had a ledger. */
	sf_report(c + 8, 9, 8, 18, NOW, NULL, 0, scratch, 1000, text);
	assert_string_equal(text, "");
	sf_report(c + 8, 11, 8, 18, NOW, NULL, 0, scratch, 1000, text);
	assert_string_equal(text, "node IDs are running out: 0 of 11 can be had");
	sf_report(c, 20, 5, 5, NOW, NULL, 0, scratch, 1000, text);
	assert_string_equal(text, "node IDs that are used up for more than a day to come: 3, 4, 6, 7");
	sf_report(c + 8, 12, 20, 29, NOW, NULL, 0, scratch, 1000, text);
	assert_string_equal(text, "");
}

/* However much there is to say, it fits. */
static void
test_long_report(void **state)
{
	enum
	{
		MANY = 200
	};
	static SfCandidate c[MANY];
	static SfReportNode nodes[MANY];
	static SfClockOffset scratch[MANY + 1];
	char		text[SF_REPORT_SIZE];

	(void) state;
	for (int i = 0; i < MANY; i++)
	{
		c[i] = candidate(2000000000 + i, 0);
		nodes[i] = (SfReportNode)
		{
			2000000000 + i,
			{
				(i % 2 ? 1 : -1) * INT64_C(250000000000000000), 0
			}
		};
	}
	sf_report(c, MANY, 2000000000, 2000000000 + MANY - 1, NOW, nodes, MANY, scratch, 1, text);
	check(strlen(text) < SF_REPORT_SIZE && strlen(text) > 400, "%s", text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test_setup(test_any, unit_seed),
		cmocka_unit_test(test_even),
		cmocka_unit_test(test_offset),
		cmocka_unit_test(test_skew),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_report_used_up),
		cmocka_unit_test(test_long_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
