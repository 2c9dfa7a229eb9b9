/*-------------------------------------------------------------------------
 *
 * horizon.h
 *	  The durable bound below which IDs may be handed out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_HORIZON_H
#define SF_HORIZON_H

#include "datatype/timestamp.h"

#define SF_ERRCODE_HORIZON_AHEAD	MAKE_SQLSTATE('S', 'F', '0', '0', '4')
#define SF_ERRCODE_OTHER_LAYOUT		MAKE_SQLSTATE('S', 'F', '0', '0', '5')

/*
 * The first tick for which sf_horizon_advance() must be called before an ID
 * is made; local to the backend.
 */
extern uint64 sf_horizon_due;

extern void sf_horizon_init(void);
extern uint64 sf_horizon_advance(Oid function, uint64 tick);
extern void sf_horizon_begin(Oid function);
extern void sf_horizon_reset(Oid function, TimestampTz horizon);
extern void sf_horizon_set_layout(Oid function);
extern bool sf_horizon_read(Oid function, TimestampTz *horizon);

#endif							/* SF_HORIZON_H */
