/*
 * Model of the lease of node IDs: doc/design.md says why it is as it is,
 * doc/model.md what this model covers and what it leaves out.
 *
 * The claim: no two IDs with the same node ID and the same tick are ever
 * issued, whatever the clocks, the network and the scheduler do.  (One ID per
 * tick here: the sequence and the order in which backends touch the two words
 * of shared memory are the business of words.pml.)
 *
 * Nothing in this file looks at a clock.  Wherever the extension would ask for
 * the time, the model takes every value; wherever a process could pause, it
 * may pause for ever, because every step is only a possibility.
 *
 * Bounds, all settable with -D.
 */
#ifndef SERVERS
#define SERVERS 2
#endif
#ifndef IDS						/* node IDs, each with its ledger */
#define IDS 1
#endif
#ifndef TICKS					/* ticks are 1 .. TICKS; at most 7 */
#define TICKS 3
#endif
#ifndef WRITES					/* of ledgers, all together */
#define WRITES 3
#endif
#ifndef CRASHES					/* losses of shared memory, all servers together */
#define CRASHES 0
#endif

#ifndef STATIC					/* servers from this number on have a static node ID */
#define STATIC SERVERS
#endif

#define NOBODY		0
#define UNSET		IDS			/* no node ID */
#define ANY_VERSION	255			/* a write that names no version */
#define MAX(a, b)	((a) > (b) -> (a) : (b))
#define MIN(a, b)	((a) < (b) -> (a) : (b))

mtype = { NOTHING, CLAIM, EXTEND, RELEASE, DONE, REFUSED,	/* requests, replies */
		  IDLE, CLAIMING, HELD, EXTENDING, RELEASING };		/* phases */

/* The ensemble's data: the ledger of each ID, and the ephemeral holder. */
typedef Ledger
{
	byte version;				/* dataVersion */
	byte nonce;
	byte claim;
	byte low;
	byte high;
#ifndef NO_HOLDER
	byte holder;				/* server number + 1 */
#endif
};
Ledger ledger[IDS];

#ifdef CONFIG
/* The node config, and the data that a change of it carries. */
byte config_version;
bool frozen;
byte generation;				/* which layout and epoch */
byte floor;						/* every claim starts above it */
#define FLOOR	floor
#else
#define FLOOR	0
#endif

/*
 * A request holds the whole new content of the ledger, as a setData does.  A
 * reply takes its place: DONE carries the new version, as ZooKeeper's does.
 */
typedef Request
{
	mtype kind = NOTHING;
	byte id;
	byte version;
	byte nonce;
	byte claim;
	byte low;
	byte high;
#ifdef CONFIG
	byte config_version;
#endif
};

/*
 * Two requests per server may be on their way: the one it waits for, and one
 * that it has given up (connection lost, worker restarted, crash) and that
 * may still be applied at any later time, or never.
 */
Request current[SERVERS];
Request late[SERVERS];

byte crashes;
byte writes;

/* What was issued: one bit per tick.  Only the assertions read it. */
byte issued[IDS];
#ifdef CONFIG
byte issued_under[2];			/* by generation */
#endif

#ifdef REACH
/*
 * -DREACH=CONDITION, one of those below: it is asserted never to hold when an
 * ID is issued, and spin must find that it does.  So an empty run cannot pass.
 */
byte has_issued;				/* one bit per server */
byte after_other;				/* one bit per server: issued after another */
byte ids_used;					/* one bit per node ID */
byte generations_used;			/* one bit per generation */
#define TURNS			(after_other == (1 << SERVERS) - 1)
#define RECOVERED		(TURNS && recovered)
#define REOPENED		(TURNS && reopened)
#define CRASHED			((after_other & (1 << s)) && nonce > SERVERS)
#define ALL_IDS			(TURNS && ids_used == (1 << IDS) - 1)
#define GENERATIONS		(generations_used == 3)
#endif

/* ---- the ensemble, and the way to it ----------------------------------- */

inline clear(r)
{
	r.kind = NOTHING;
	r.id = 0;
	r.version = 0;
	r.nonce = 0;
	r.claim = 0;
	r.low = 0;
	r.high = 0;
#ifdef CONFIG
	r.config_version = 0;
#endif
}

inline copy(to, from)
{
	to.kind = from.kind;
	to.id = from.id;
	to.version = from.version;
	to.nonce = from.nonce;
	to.claim = from.claim;
	to.low = from.low;
	to.high = from.high;
#ifdef CONFIG
	to.config_version = from.config_version;
#endif
}

#define IS_REQUEST(r)	(r.kind == CLAIM || r.kind == EXTEND || r.kind == RELEASE)

#define VERSION_FITS(r) \
	(r.version == ledger[r.id].version || r.version == ANY_VERSION)

/*
 * A claim creates the holder, which fails while there is one.
 *
 * All that the holder can do is to forbid a claim.  So a model without it
 * (-DNO_HOLDER) does everything that this one does, in fewer states.
 */
#if defined(MUTATION_HOLDER_UNCHECKED) || defined(NO_HOLDER)
#define HOLDER_FITS(r)	true
#else
#define HOLDER_FITS(r)	(r.kind != CLAIM || ledger[r.id].holder == NOBODY)
#endif

/*
 * Claim and extend name the version of the configuration that they were made
 * under.  A release only ever lowers the high end, so it need not.
 */
#ifdef CONFIG
#ifdef MUTATION_EXTEND_IGNORES_CONFIG
#define CONFIG_FITS(r)	(r.kind != CLAIM || r.config_version == config_version)
#else
#define CONFIG_FITS(r)	(r.kind == RELEASE || r.config_version == config_version)
#endif
#else
#define CONFIG_FITS(r)	true
#endif

/*
 * A request that names a version now past can only be refused.  Saying so at
 * once changes nothing that a server can see, and saves states.
 */
#define IS_STALE(r) \
	(IS_REQUEST(r) && r.version < ledger[r.id].version)

inline settle()
{
	for (other : 0 .. SERVERS - 1) {
		if
		:: IS_STALE(late[other]) -> clear(late[other])
		:: else
		fi;
		if
		:: IS_STALE(current[other]) ->
			clear(current[other]);
			current[other].kind = REFUSED
		:: else
		fi
	}
	other = 0
}

inline write_ledger(r)
{
	writes++;
	ledger[r.id].version++;
	ledger[r.id].nonce = r.nonce;
	ledger[r.id].claim = r.claim;
	ledger[r.id].low = r.low;
	ledger[r.id].high = r.high;
#ifndef NO_HOLDER
	if
	:: r.kind == CLAIM -> ledger[r.id].holder = s + 1
	:: r.kind == RELEASE && ledger[r.id].holder == s + 1 ->
		ledger[r.id].holder = NOBODY
	:: else
	fi
#endif
}

#define FITS(r)		(VERSION_FITS(r) && HOLDER_FITS(r) && CONFIG_FITS(r))
#define HAS_ROOM	(writes < WRITES)

/*
 * The way of the requests of server s to the ensemble.  They are applied one
 * at a time, each at any time after it was sent.  One of an expired session
 * is still applied here, which ZooKeeper would refuse: the protocol may not
 * rest on it.
 */
proctype Connection(byte s)
{
	byte other, version, high;	/* scratch, 0 between steps */

	do
	:: d_step {
		IS_REQUEST(current[s]) && FITS(current[s]) && HAS_ROOM ->
		write_ledger(current[s]);
		version = ledger[current[s].id].version;
		high = ledger[current[s].id].high;
		clear(current[s]);
		current[s].kind = DONE;
		current[s].version = version;
		current[s].high = high;
		version = 0;
		high = 0;
		settle()
	   }
	:: d_step {
		IS_REQUEST(current[s]) && !FITS(current[s]) ->
		clear(current[s]);
		current[s].kind = REFUSED
	   }
	:: d_step {
		IS_REQUEST(late[s]) && FITS(late[s]) && HAS_ROOM ->
		write_ledger(late[s]);
		clear(late[s]);
		settle()
	   }
	od
}

#ifndef NO_HOLDER
/* A session expires: at any time, whether its server notices or not. */
proctype Expiry(byte k)
{
	do
	:: ledger[k].holder != NOBODY -> ledger[k].holder = NOBODY
	od
}
#endif

/* ---- a server ---------------------------------------------------------- */

/*
 * The server waits no longer: the connection is lost, or the server has died.
 * What it waited for was applied and only the reply is lost, or will never be
 * applied, or is still on its way; nobody can tell.
 */
inline give_up()
{
	if
	:: IS_REQUEST(current[s]) -> copy(late[s], current[s])
	:: true
	fi;
	clear(current[s])
}

inline forget()
{
	phase = IDLE;
	id = 0;
	version = 0;
	claim = 0;
	low = 0;
	high = 0
}

inline send(what, with_version, with_nonce, with_high)
{
	current[s].id = id;
	current[s].version = with_version;
	current[s].nonce = with_nonce;
	current[s].claim = claim;
	current[s].low = low;
	current[s].high = with_high;
#ifdef CONFIG
	current[s].config_version = config_version;
#endif
	current[s].kind = what
}

/*
 * A lease that is known to be ours takes effect.  Ticks up to low, and those
 * issued before, are used up first; CLOSED is taken away only here.
 */
inline publish()
{
	if
	:: closed ->
		state = MAX(state + 1, low);
		state = MIN(state, TICKS);	/* past the last is as good as the last */
		closed = false;
#ifdef REACH
		reopened = true
#endif
	:: else ->
#ifndef MUTATION_STATE_NOT_RAISED
		state = MAX(state, low)
#endif
	fi;
	grant_id = id;
#ifdef MUTATION_SESSION_ALONE
	grant_tick = TICKS;
#else
	grant_tick = high;
#endif
	phase = HELD
}

inline adopt()
{
	version = ledger[id].version;
	claim = ledger[id].claim;
	low = ledger[id].low;
	high = ledger[id].high;
	publish();
#ifdef REACH
	recovered = true
#endif
}

inline withdraw()
{
	grant_id = UNSET;
	grant_tick = 0
}

/* Is the ledger still that of this very claim? */
#if defined(MUTATION_RECOVERY_IGNORES_NONCE)
#define STILL_OURS	(ledger[id].claim == claim)
#elif defined(MUTATION_RECOVERY_IGNORES_CLAIM)
#define STILL_OURS	(ledger[id].nonce == nonce)
#else
#define STILL_OURS	(ledger[id].nonce == nonce && ledger[id].claim == claim)
#endif

/*
 * What a worker that starts may adopt, if the ledger has our nonce.  After
 * CLOSED nothing: a release may be on its way.  With a grant, only that ID.
 * With neither, no lease was ever given back in this life of shared memory,
 * and any ledger with our nonce is ours.
 */
#ifdef MUTATION_START_ADOPTS_ANY
#define MAY_ADOPT	(!closed)
#else
#define MAY_ADOPT	(!closed && (grant_id == id || grant_id == UNSET))
#endif

/* A static node ID is the only one that its server claims. */
inline pick_id()
{
	if
	:: s < STATIC -> select (id : 0 .. IDS - 1)
	:: else -> id = s % IDS
	fi
}

/*
 * Before it claims or extends, a worker reads the configuration.  What it has
 * read may be out of date when the request is applied: see CONFIG_FITS.
 */
#ifdef CONFIG
#define CONFIG_IS_OURS	(!frozen && generation == latched)
#else
#define CONFIG_IS_OURS	true
#endif

#ifdef NO_EXTEND				/* to leave room for more claims */
#define MAY_EXTEND	false
#else
#define MAY_EXTEND	true
#endif

proctype Server(byte s)
{
	/* Shared memory.  A crash loses it, a restart of the worker does not. */
	byte state;					/* the last tick that was used */
	bool closed;
	byte grant_id = UNSET;
	byte grant_tick;
	byte nonce = s + 1;			/* a crash adds SERVERS */
#ifdef CONFIG
	bool latched;				/* the generation that this server runs with */
#endif

	/* The worker's own memory. */
	mtype phase = IDLE;
	byte id;
	byte version;
	byte claim;
	byte low;
	byte high;					/* what is acknowledged, never what is hoped for */

	byte t;						/* scratch, 0 between steps */
#ifdef REACH
	bool recovered, reopened;	/* since shared memory was made */
#endif

#ifdef CONFIG
	/* One server from before the change, the others in wait for it. */
	latched = (s > 0);
#endif

	do
	/* A backend issues an ID, at whatever tick its clock shows. */
	:: atomic {
		!closed && grant_id != UNSET && state < grant_tick ->
		select (t : state + 1 .. grant_tick);
		assert(!(issued[grant_id] & (1 << t)));
		issued[grant_id] = issued[grant_id] | (1 << t);
#ifdef CONFIG
		/*
		 * Under another layout or epoch the same number can come from another
		 * node ID, so no tick may be used under two generations.
		 */
		assert(!(issued_under[1 - latched] & (1 << t)));
		issued_under[latched] = issued_under[latched] | (1 << t);
#endif
		state = t;
		t = 0;
#ifdef REACH
		if
		:: has_issued & ~(1 << s) ->
			after_other = after_other | (1 << s)
		:: else
		fi;
		has_issued = has_issued | (1 << s);
		ids_used = ids_used | (1 << grant_id);
#ifdef CONFIG
		generations_used = generations_used | (1 << latched);
#endif
		assert(!(REACH));
#endif
	   }

	/* Claim: read the ledger of some ID, send the write. */
	:: atomic {
		phase == IDLE && HAS_ROOM && CONFIG_IS_OURS ->
		pick_id();
		claim = ledger[id].claim + 1;
#if defined(MUTATION_SESSION_ALONE)
		low = 0;
#else
		low = MAX(ledger[id].high, FLOOR);
#endif
#if defined(MUTATION_CLAIM_LOWERS_H)
		select (high : 0 .. TICKS);
		low = MIN(low, high);
#else
		select (high : low .. TICKS);
#endif
#if defined(MUTATION_CLAIM_UNVERSIONED)
		version = ANY_VERSION;
#else
		version = ledger[id].version;
#endif
		send(CLAIM, version, nonce, high);
#if defined(MUTATION_CLAIM_PUBLISHED_EARLY)
		publish();
#endif
		phase = CLAIMING
	   }

	/* Extend: high never falls, but a clock that is behind may leave it. */
	:: atomic {
		phase == HELD && HAS_ROOM && CONFIG_IS_OURS && MAY_EXTEND ->
#if defined(MUTATION_EXTEND_LOWERS_H)
		select (t : 0 .. TICKS);
#else
		select (t : high .. TICKS);
#endif
		send(EXTEND, version, nonce, t);
#if defined(MUTATION_EXTEND_PUBLISHED_EARLY)
		grant_tick = t;
#endif
		phase = EXTENDING;
		t = 0
	   }

	/* Claim or extend acknowledged. */
	:: atomic {
		(phase == CLAIMING || phase == EXTENDING) && current[s].kind == DONE ->
		version = current[s].version;
		high = current[s].high;
		clear(current[s]);
		publish()
	   }

	/*
	 * Refused.  When it was an extend, this is to be fenced: what was granted
	 * stays good up to its last tick.
	 */
	:: atomic {
		(phase == CLAIMING || phase == EXTENDING) && current[s].kind == REFUSED ->
		current[s].kind = NOTHING;
		forget()
	   }

	/* Of unknown fate.  Connected again, after sync, read. */
	:: atomic {
		phase == CLAIMING || phase == EXTENDING ->
		give_up();
		if
#if defined(MUTATION_EXTEND_ASSUMED)
		:: phase == EXTENDING ->
			select (high : high .. TICKS);
			publish()
#elif defined(MUTATION_EXTEND_RETRIED_UNVERSIONED)
		:: phase == EXTENDING ->
			select (t : high .. TICKS);
			send(EXTEND, ANY_VERSION, nonce, t);
			t = 0
#elif defined(MUTATION_EXTEND_RETRIED_VERSIONED)
		:: phase == EXTENDING ->
			select (t : high .. TICKS);
			send(EXTEND, version, nonce, t);
			t = 0
#endif
		:: STILL_OURS -> adopt()
		:: !STILL_OURS -> forget()
		fi
	   }

	/*
	 * Release, also while an extend is of unknown fate: close, then say how
	 * far we came.
	 */
	:: atomic {
		phase == HELD || phase == EXTENDING ->
		give_up();
#ifndef MUTATION_RELEASE_BEFORE_CLOSE
		closed = true;
		withdraw();
#endif
		t = MAX(low, state);
		t = MIN(high, t);
		send(RELEASE, version, 0, t);
		phase = RELEASING;
		t = 0
	   }

	/* Whatever became of the message, the claim is dead. */
	:: atomic {
		phase == RELEASING ->
		give_up();
#ifdef MUTATION_RELEASE_BEFORE_CLOSE
		closed = true;
		withdraw();
#endif
		forget()
	   }

	/* The session has expired, or is that of an earlier worker. */
#ifdef NO_HOLDER
	:: atomic {
		phase == HELD && !STILL_OURS ->
		forget()
	   }
#else
	:: atomic {
		phase == HELD && ledger[id].holder != s + 1 ->
#if defined(MUTATION_SESSION_ALONE)
		withdraw();
		forget()
#elif defined(MUTATION_HOLDER_BLIND)
		ledger[id].holder = s + 1
#else
		if
		:: STILL_OURS -> ledger[id].holder = s + 1
		:: else -> forget()
		fi
#endif
	   }
#endif

	/*
	 * The worker dies and is started again; or the whole server, and then
	 * nothing in its databases has survived that says how far it came.
	 */
	:: atomic {
		true ->
		give_up();
		forget();
		if
		:: true
		:: crashes < CRASHES ->
			crashes++;
			state = 0;
			closed = false;
			withdraw();
#ifndef MUTATION_SAME_NONCE
			nonce = nonce + SERVERS;
#endif
#ifdef CONFIG
			if
			:: latched = 0
			:: latched = 1
			fi;
#endif
#ifdef REACH
			recovered = false;
			reopened = false
#endif
		fi;
		pick_id();
		if
		:: MAY_ADOPT && ledger[id].nonce == nonce -> adopt()
		:: else -> id = 0
		fi
	   }
	od
}

#ifdef CONFIG
/*
 * A change of layout or epoch: freeze, read every ledger, set the floor.  It
 * may stop between any two steps, for ever.
 */
proctype Change()
{
	byte k, highest;

#ifndef MUTATION_FLOOR_BEFORE_FREEZE
	atomic { frozen = true; config_version++ }
#endif
	do
	:: k < IDS -> atomic { highest = MAX(highest, ledger[k].high); k++ }
	:: else -> break
	od;
#ifdef MUTATION_FLOOR_BEFORE_FREEZE
	atomic { frozen = true; config_version++ }
#endif
	atomic { floor = highest; generation = 1; frozen = false; config_version++ }
}
#endif

init
{
	byte i;

	atomic {
		for (i : 0 .. SERVERS - 1) {
			run Connection(i);
			run Server(i)
		}
#ifndef NO_HOLDER
		for (i : 0 .. IDS - 1) {
			run Expiry(i)
		}
#endif
#ifdef CONFIG
		run Change();
#endif
		i = 0
	}
}
