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
#include "fmgr.h"
#include "layout.h"

extern const SfLayout *sf_layout_of_call(FunctionCallInfo fcinfo, int argno);
extern void sf_layout_from_text(const text *arg, SfLayout *layout);
extern TimestampTz sf_unix_ms_timestamp(int64 unix_ms);
extern int64 sf_timestamp_unix_ms(TimestampTz timestamp);
extern TimestampTz sf_tick_timestamp(const SfLayout *layout, uint64 tick);
extern SfTickStatus sf_timestamp_tick(const SfLayout *layout, TimestampTz timestamp,
									  bool round_up, uint64_t *tick);
extern int64 sf_lower_id(const SfLayout *layout, TimestampTz instant);

#endif							/* SF_DECODE_H */
