/*-------------------------------------------------------------------------
 *
 * row.h
 *	  A row of a set that a function returns, filled from left to right.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ROW_H
#define SF_ROW_H

#include "utils/builtins.h"
#include "utils/timestamp.h"

#define SF_ROW_COLUMNS	48

typedef struct SfRow
{
	int			n;
	Datum		values[SF_ROW_COLUMNS];
	bool		nulls[SF_ROW_COLUMNS];
} SfRow;

static inline void
sf_row_put(SfRow *row, Datum value)
{
	Assert(row->n < SF_ROW_COLUMNS);
	row->nulls[row->n] = false;
	row->values[row->n++] = value;
}

static inline void
sf_row_put_null(SfRow *row)
{
	Assert(row->n < SF_ROW_COLUMNS);
	row->nulls[row->n] = true;
	row->values[row->n++] = (Datum) 0;
}

/* NULL for a null. */
static inline void
sf_row_put_text(SfRow *row, const char *value)
{
	if (value != NULL)
		sf_row_put(row, CStringGetTextDatum(value));
	else
		sf_row_put_null(row);
}

static inline void
sf_row_put_interval_us(SfRow *row, int64 us)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = us;
	sf_row_put(row, IntervalPGetDatum(interval));
}

/* Milliseconds since 1970, as a timestamptz. */
static inline void
sf_row_put_ms(SfRow *row, int64 ms)
{
	sf_row_put(row, TimestampTzGetDatum(time_t_to_timestamptz(0) + ms * 1000));
}

#endif							/* SF_ROW_H */
