/*-------------------------------------------------------------------------
 *
 * lease.h
 *	  What a module that leases the node ID may do to the generator.
 *
 * Such a module (src/zookeeper) is preloaded with this library and acts from
 * one worker process.  All that it does to the two words of shared memory, the
 * state and the grant, is in lease.c, in the order that doc/design.md and
 * test/model demand; the module only decides when.
 *
 * It finds the functions by sf_lease_api(), looked up by name, so neither
 * library is linked with the other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_LEASE_H
#define SF_LEASE_H

#include "layout.h"

#define SF_LEASE_API_VERSION	1

#define SF_LEASE_NONCE_BYTES	16
#define SF_LEASE_ERROR_SIZE		512

/* SQLSTATE of an ID that cannot be made for want of a lease. */
#define SF_ERRCODE_NO_LEASE		MAKE_SQLSTATE('S', 'F', '0', '0', '6')

typedef enum SfLeaseState
{
	SF_LEASE_OFF,				/* no module leases the node ID */
	SF_LEASE_CONNECTING,		/* nothing is known yet */
	SF_LEASE_CLAIMING,			/* in search of a node ID */
	SF_LEASE_HELD,
	SF_LEASE_FENCED,			/* another has claimed it; in search of a new
								 * one */
	SF_LEASE_REFUSED,			/* an administrator has to do something */
	SF_LEASE_RELEASED			/* given back */
} SfLeaseState;

/* What a worker finds that was not there from the start of the server. */
typedef struct SfLeaseFound
{
	bool		closed;			/* a lease was given back: claim anew */
	bool		granted;
	uint32_t	node;			/* where granted */
	int64_t		claim;			/* of that grant */
} SfLeaseFound;

/*
 * All times are milliseconds since 1970.  A lease is good for the ticks that
 * start at its low end or later and end at its high end or earlier.
 */
typedef struct SfLeaseApi
{
	int			version;		/* SF_LEASE_API_VERSION */
	const char *library_version;

	/* Called while preloading: from now on, no node ID without a lease. */
	void		(*enable) (void);

	/* Find the generator's shared memory; what follows needs it. */
	void		(*attach) (void);

	/*
	 * The layout in force, in canonical text form; the largest node ID it
	 * has.
	 */
	void		(*layout_text) (char buf[SF_LAYOUT_TEXT_SIZE]);
	uint32_t	(*max_node) (void);

	/* Is one certain node ID to be leased?  Then which. */
	bool		(*static_node) (uint32_t *node);

	/* Differs whenever the state was lost; SF_LEASE_NONCE_BYTES. */
	const uint8_t *(*nonce) (void);

	/* The end of the tick that contains this instant. */
	int64_t		(*tick_end) (int64_t ms);

	/* How far ahead of the clock IDs may be made. */
	int64_t		(*max_lead) (void);

	SfLeaseFound (*found) (void);

	/* A claim or an extension of one that is known to be in force. */
	void		(*publish) (uint32_t node, int64_t claim, int64_t low, int64_t high);

	/* Make no more IDs; returns the end of the last tick that was used. */
	int64_t		(*close) (void);

	/* For snowflake_status and for the errors of those who wait. */
	void		(*report_state) (SfLeaseState state);
	void		(*report_error) (const char *text); /* empty: none any more */
	void		(*report_round_trip) (int64_t us);
	void		(*report_fenced) (void);

	int64_t		(*clock_ms) (void);
	int64_t		(*clock_monotonic_us) (void);
} SfLeaseApi;

/* The name and the type of the function that returns it. */
#define SF_LEASE_API_FUNCTION	"sf_lease_api"
typedef const SfLeaseApi *(*SfLeaseApiFunction) (void);

struct SfShared;

extern void sf_lease_initialize(struct SfShared *shared);
extern const char *sf_lease_state_name(SfLeaseState state);
extern void sf_lease_error(char buf[SF_LEASE_ERROR_SIZE]);

#endif							/* SF_LEASE_H */
