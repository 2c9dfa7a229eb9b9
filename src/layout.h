/*-------------------------------------------------------------------------
 *
 * layout.h
 *	  How a 64-bit ID is cut into fields, and the text form of such a layout.
 *
 * Nothing here knows PostgreSQL: the functions are pure, and are unit-tested
 * by themselves (test/unit).
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_LAYOUT_H
#define SF_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The fields of an ID.  TIME is always there and always the highest. */
typedef enum SfField
{
	SF_TIME,					/* ticks since the layout's epoch */
	SF_DATACENTER,				/* high part of the node ID */
	SF_WORKER,					/* low part of the node ID, or all of it */
	SF_NODE,					/* node ID of a layout without datacenters */
	SF_SEQUENCE,				/* counts within a tick */
	SF_TAIL						/* opaque bits: such a layout only decodes */
} SfField;

#define SF_NUM_FIELDS		6

#define SF_MAX_BITS			64	/* of an ID that is only decoded */
#define SF_MAX_ISSUED_BITS	63	/* of an ID that is made: the sign stays 0 */
#define SF_MAX_INT_BITS		31	/* node ID and sequence are SQL integers */
#define SF_MAX_TICK_MS		3600000
#define SF_EPOCH_END_MS		INT64_C(253402300800000)	/* 10000-01-01 */

/* Longest text of a layout that is read or written, with its final NUL. */
#define SF_LAYOUT_TEXT_SIZE	160

typedef struct SfLayout
{
	uint8_t		bits[SF_NUM_FIELDS];	/* width, 0 = not in this layout */
	uint8_t		shift[SF_NUM_FIELDS];	/* position of the lowest bit */
	uint8_t		total_bits;		/* sum of the widths */
	uint8_t		node_bits;		/* width of the whole node ID */
	int32_t		tick_ms;		/* length of a tick, milliseconds */
	int64_t		epoch_ms;		/* start of tick 0, milliseconds since 1970 */
} SfLayout;

/*
 * The values in an ID.  A field that the layout does not have is 0; see
 * sf_layout_has().
 */
typedef struct SfParts
{
	uint64_t	tick;
	uint32_t	datacenter;
	uint32_t	worker;
	uint32_t	node;
	uint32_t	sequence;
	uint64_t	tail;
} SfParts;

typedef struct SfPreset
{
	const char *name;
	const char *origin;			/* whose IDs these are */
	SfLayout	layout;
} SfPreset;

/* What is wrong with a layout's text, as a sentence for DETAIL. */
typedef struct SfTextError
{
	char		message[256];
} SfTextError;

typedef enum SfTickStatus
{
	SF_TICK_OK,
	SF_TICK_BEFORE_EPOCH,
	SF_TICK_AFTER_END
} SfTickStatus;

/* layout.c: arithmetic */

/* Largest value that fits into that many bits (0 to 64). */
static inline uint64_t
sf_max_value(int bits)
{
	return bits == 0 ? 0 : UINT64_MAX >> (64 - bits);
}

static inline bool
sf_layout_has(const SfLayout *layout, SfField field)
{
	return layout->bits[field] > 0;
}

/*
 * The start of a tick, in milliseconds since 1970.  Returns false where that
 * does not fit into 64 bits.
 */
static inline bool
sf_layout_unix_ms(const SfLayout *layout, uint64_t tick, int64_t *unix_ms)
{
	int64_t		since;

	return tick <= INT64_MAX &&
		!__builtin_mul_overflow((int64_t) tick, (int64_t) layout->tick_ms, &since) &&
		!__builtin_add_overflow(since, layout->epoch_ms, unix_ms);
}

extern bool sf_layout_equal(const SfLayout *a, const SfLayout *b);
extern bool sf_layout_can_issue(const SfLayout *layout);

extern uint64_t sf_layout_compose(const SfLayout *layout, uint64_t tick,
								  uint32_t node, uint32_t sequence);
extern bool sf_layout_split(const SfLayout *layout, uint64_t id, SfParts *parts);

extern SfTickStatus sf_layout_tick(const SfLayout *layout, int64_t unix_us,
								   bool round_up, uint64_t *tick);
extern SfTickStatus sf_layout_tick_since(const SfLayout *layout, uint64_t since_us,
										 bool round_up, uint64_t *tick);

extern int64_t sf_layout_pack(const SfLayout *layout);
extern bool sf_layout_unpack(int64_t packed, int64_t epoch_ms, SfLayout *layout);

/* layout_text.c: presets and text forms */

extern int	sf_layout_preset_count(void);
extern const SfPreset *sf_layout_preset(int i);

extern bool sf_layout_parse(const char *text, SfLayout *layout,
							SfTextError *error);
extern void sf_layout_format(const SfLayout *layout,
							 char buf[SF_LAYOUT_TEXT_SIZE]);
extern bool sf_epoch_parse(const char *text, int64_t *unix_ms,
						   SfTextError *error);

#endif							/* SF_LAYOUT_H */
