/*-------------------------------------------------------------------------
 *
 * decode.h
 *	  Between SQL values and the fields of an ID.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_DECODE_H
#define SF_DECODE_H

#include "datatype/timestamp.h"
#include "layout.h"

extern void sf_layout_from_text(const text *arg, SfLayout *layout);
extern TimestampTz sf_unix_ms_timestamp(int64 unix_ms);
extern int64 sf_timestamp_unix_ms(TimestampTz timestamp);
extern TimestampTz sf_tick_timestamp(const SfLayout *layout, uint64 tick);

#endif							/* SF_DECODE_H */
