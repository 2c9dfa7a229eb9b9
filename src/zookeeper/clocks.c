/*-------------------------------------------------------------------------
 *
 * clocks.c
 *	  The clock of this server against ZooKeeper's and the other servers'.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "clocks.h"
#include "lease_held.h"
#include "registry.h"
#include "trouble.h"

/* There is a warning from this part of the allowed skew on, and so often. */
#define WARN_PART		4
#define WARN_AGAIN_US	INT64CONST(60000000)

SfClockSample sf_zk_clock;

/* The same of the very last write. */
static SfClockSample last_stamp;

/* How long the last write took, where that was too long. */
static int64 too_slow_us = 0;

/*
 * A write was stamped by ZooKeeper.  Where that took longer than a clock may
 * be out, the stamp says too little: it would let a clock pass that is out by
 * more.  Then what was known before is better.
 */
void
sf_zk_clock_note(const SfZkReply *reply, int64 leader_ms)
{
	last_stamp = (SfClockSample)
	{
		.known = true,
			.leader_ms = Min(Max(leader_ms, 0), SF_RECORD_MAX_MS),
			.sent_us = reply->sent_us,
			.received_us = reply->received_us
	};
	if (reply->received_us - reply->sent_us > sf_zk_max_skew_ms * INT64CONST(1000))
	{
		too_slow_us = reply->received_us - reply->sent_us;
		return;
	}
	too_slow_us = 0;
	sf_zk_clock = last_stamp;
}

/*
 * The end of a lease that is taken now: the length of the window ahead of what
 * IDs may carry now, at the end of a tick.  A clock that is ahead of
 * ZooKeeper's by more than the skew that is allowed counts as that far ahead,
 * so that no one can use up the time of a node ID for years.  A stamp of a slow
 * write will do for that: the end may be later by as long as the write took.
 */
int64
sf_zk_end_from_now(void)
{
	int64		now_ms = sf_api->clock_ms();
	const SfClockSample *stamp = sf_zk_clock.known ? &sf_zk_clock : &last_stamp;

	if (stamp->known)
		now_ms = Min(now_ms, sf_skew_latest_ms(stamp, sf_api->clock_monotonic_us()) + sf_zk_max_skew_ms);
	return Min(sf_api->tick_end(now_ms + sf_api->max_lead() + sf_zk_window_ms), SF_RECORD_MAX_MS);
}

/* How far our clock is from the others', at the least; positive is ahead. */
static int64
skew_from_others(int *n)
{
	SfClockOffset *others;
	SfClockOffset ours = sf_skew_offset(&sf_zk_clock, sf_api->clock_ms(), sf_api->clock_monotonic_us());

	*n = sf_zk_registry_offsets(sf_zk_lease.held ? sf_zk_lease.id : PG_UINT32_MAX, &others);
	return sf_skew_from_others(&ours, others, *n);
}

/* A clock that is out is told of when it is found out, and then now and then. */
void
sf_zk_watch_clock(void)
{
	static int64 told_us = 0;
	static bool told_ahead;
	int64		now_us = sf_api->clock_monotonic_us();
	int			n;
	int64		skew_us;

	if (!sf_zk_clock.known)
		return;
	skew_us = skew_from_others(&n);
	if (llabs(skew_us) * WARN_PART < sf_zk_max_skew_ms * INT64CONST(1000))
	{
		told_us = 0;
		return;
	}
	if (told_us != 0 && told_ahead == (skew_us > 0) && now_us - told_us < WARN_AGAIN_US)
		return;
	told_us = now_us;
	told_ahead = skew_us > 0;
	ereport(WARNING,
			(errmsg("snowflake: the clock of this server is at least %.3f s %s those of ZooKeeper and of the %d other servers",
					llabs(skew_us) / 1e6, skew_us > 0 ? "ahead of" : "behind", n),
			 errdetail("\"snowflake.zookeeper_max_skew\" is %d ms.", sf_zk_max_skew_ms),
			 errhint("Check the server's time synchronization.")));
}

/* May a server with our clock claim a node ID? */
SfZkOutcome
sf_zk_check_clock(void)
{
	int			n;
	int64		skew_us;

	if (!sf_zk_clock.known)
	{
		if (too_slow_us != 0)
			sf_zk_trouble("ZooKeeper takes too long to answer, %.3f s, to compare clocks; \"snowflake.zookeeper_max_skew\" is %d ms",
						  too_slow_us / 1e6, sf_zk_max_skew_ms);
		return SF_ZK_LATER;
	}
	skew_us = skew_from_others(&n);
	if (llabs(skew_us) > sf_zk_max_skew_ms * INT64CONST(1000))
	{
		sf_zk_trouble("the clock of this server is at least %.3f s %s those of ZooKeeper and of the %d other servers; \"snowflake.zookeeper_max_skew\" is %d ms",
					  llabs(skew_us) / 1e6, skew_us > 0 ? "ahead of" : "behind", n, sf_zk_max_skew_ms);
		return SF_ZK_REFUSED;
	}
	sf_zk_watch_clock();
	return SF_ZK_DONE;
}
