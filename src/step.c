/*-------------------------------------------------------------------------
 *
 * step.c
 *	  The one transition of the generator's state.
 *
 *-------------------------------------------------------------------------
 */
#include "step.h"

/*
 * Given the state and the tick that the clock shows, say which IDs come next.
 *
 * lead is how many ticks an ID's time may run ahead of the clock, start the
 * sequence number that a fresh tick begins with (one that the layout has), want how many IDs are asked
 * for (at least 1; fewer are given when the tick has no more).
 *
 * Nothing is changed here, and with any result but SF_STEP_OK nothing is to
 * be changed by the caller.  The new state is always above the old one.
 */
SfStepResult
sf_step(const SfLayout *layout, uint64_t state, int64_t now, uint64_t lead,
		uint32_t start, uint32_t want, SfStep *step)
{
	uint32_t	max_sequence = sf_max_value(layout->bits[SF_SEQUENCE]);
	uint64_t	last = sf_state_tick(layout, state);
	uint64_t	tick;
	uint64_t	first;
	uint64_t	left;

	if (now < 0)
		return SF_STEP_BEFORE_EPOCH;

	if ((uint64_t) now > last)
	{
		tick = now;
		first = start;
	}
	else
	{
		tick = last;
		first = (uint64_t) sf_state_sequence(layout, state) + 1;
		if (first > max_sequence)
		{
			tick = last + 1;
			first = start;
		}
	}

	/* Before the lead is looked at: no wait brings a tick that is not there. */
	if (tick > sf_max_value(layout->bits[SF_TIME]))
		return SF_STEP_TIME_OVER;

	/*
	 * The next ID's tick is the clock's own or later, and may be later by the
	 * lead.  The wait is for that tick, not for the last one's, which may
	 * have no sequence number left.
	 */
	step->behind = (uint64_t) now > last ? 0 : last - (uint64_t) now;
	if (tick - (uint64_t) now > lead)
	{
		step->tick = tick - lead;
		return step->behind > lead ? SF_STEP_CLOCK_BEHIND : SF_STEP_SEQUENCE_USED_UP;
	}

	left = max_sequence - first + 1;
	step->tick = tick;
	step->first = first;
	step->count = want < left ? want : left;
	step->state = sf_state_pack(layout, tick, first + step->count - 1);
	return SF_STEP_OK;
}
