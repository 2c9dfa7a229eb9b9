/*
 * Model of the two words of shared memory: doc/design.md says why they are as
 * they are, doc/model.md what this model covers and what it leaves out.
 *
 * The claim: no two IDs with the same node ID, tick and sequence are ever
 * issued, by backends of this server or by another server that takes over
 * what this one gives back, however the steps of the processes interleave.
 *
 * Each access to a shared word is one step; what a process does with its own
 * memory belongs to the step before.  Clocks show anything at any time.
 *
 * Bounds, all settable with -D.
 */
#ifndef BACKENDS
#define BACKENDS 2
#endif
#ifndef NODES					/* node IDs, 0 .. NODES - 1 */
#define NODES 2
#endif
#ifndef TICKS					/* ticks are 1 .. TICKS; at most 7 */
#define TICKS 4
#endif
#ifndef SEQUENCES				/* IDs per tick and node ID */
#define SEQUENCES 2
#endif
#ifndef RECLAIMS				/* claims after the first */
#define RECLAIMS 2
#endif

#define MAX(a, b)	((a) > (b) -> (a) : (b))
#define MIN(a, b)	((a) < (b) -> (a) : (b))

/* state: CLOSED, tick, sequence. */
#define CLOSED			128
#define STATE(t, q)		((t) * SEQUENCES + (q))
#define LAST(t)			STATE(t, SEQUENCES - 1)
#define TICK(s)			(((s) & ~CLOSED) / SEQUENCES)
#define IS_CLOSED(s)	((s) & CLOSED)

/* grant: node ID, and the last tick that it may be used for. */
#define UNSET			255
#define GRANT(n, t)		((n) * 16 + (t))
#define NODE(g)			((g) / 16)
#define LIMIT(g)		((g) % 16)

byte state = LAST(0);
byte grant = UNSET;

/* How far each node ID's ledger says that it may have been used. */
byte ledger[NODES];

/*
 * Some ID that was issued, or none as yet.  Each ID that is issued may become
 * the witness or not, so an ID that is issued twice is found in some run, and
 * no run has to remember all of them.
 */
short witness;
#define ID(node, value)	(1 + (node) * 256 + (value))

inline issue(id)
{
	assert(witness != id);
	if
	:: witness == 0 -> witness = id
	:: true
	fi
}

byte claims;					/* after the first */

#ifdef REACH
/*
 * -DREACH=CONDITION, one of those below: it is asserted never to hold when an
 * ID is issued, and spin must find that it does.  So an empty run cannot pass.
 */
byte issued_by;					/* since the last claim, one bit per backend */
byte reopened;					/* how often */
#define ALL_BACKENDS	(issued_by == (1 << BACKENDS) - 1)
#define REOPENED		(ALL_BACKENDS && reopened == RECLAIMS)
#define FENCED			(ALL_BACKENDS && claims == RECLAIMS && !reopened)
#endif

/* ---- a backend that makes IDs ------------------------------------------ */

/*
 * The clock shows any tick; one that is behind counts as the last used.  Of
 * the grant only the node ID is needed from here on.
 */
inline choose()
{
	if
#ifdef MUTATION_LIMIT_IGNORED
	:: g != UNSET && s < LAST(TICKS) ->
		select (new : TICK(s + 1) .. TICKS);
#else
	:: g != UNSET && TICK(s + 1) <= LIMIT(g) ->
		select (new : TICK(s + 1) .. LIMIT(g));
#endif
		new = (new == TICK(s) -> s + 1 : STATE(new, 0));
		g = GRANT(NODE(g), 0)
	:: else ->
		s = 0;
		g = 0;
		goto again
	fi
}

inline compose()
{
	issue(ID(NODE(g), new));
#ifdef REACH
	issued_by = issued_by | (1 << self);
	assert(!(REACH))
#endif
}

proctype Backend(byte self)
{
	byte s, g, new;

again:
	do
#ifdef MUTATION_GRANT_BEFORE_STATE
	:: atomic { grant != UNSET -> g = grant };
		atomic { !IS_CLOSED(state) -> s = state; choose() };
#else
	/* 1. */
	:: atomic { !IS_CLOSED(state) -> s = state };
		/* 2. */
		atomic { g = grant; choose() };
#endif
		/* 3. */
		atomic {
			if
			:: state == s ->
				state = new;
				/* 4. */
#ifdef MUTATION_NODE_REREAD
				goto reread
#else
				compose()
#endif
			:: else
			fi;
			s = 0;
			g = 0;
			new = 0
		}
#ifdef MUTATION_NODE_REREAD
		if
		:: false ->
reread:		atomic { grant != UNSET -> g = grant; compose(); s = 0; g = 0; new = 0 }
		:: else
		fi
#endif
	od
}

/* ---- a backend that finds a horizon from an earlier run ------------------ */

proctype Horizon()
{
	byte s, new;

	do
	:: atomic {
		!IS_CLOSED(state) && state < LAST(TICKS) ->
		s = state;
		select (new : TICK(s + 1) .. TICKS);
		new = LAST(new)
	   };
		atomic {
			if
#ifdef MUTATION_PLAIN_STORE
			:: true -> state = new
#else
			:: state == s -> state = new
			:: else
#endif
			fi;
			s = 0;
			new = 0
		}
	od
}

/* ---- the worker -------------------------------------------------------- */

/*
 * Other servers claim what is not ours any more, and issue any of it: each
 * tick up to some tick, each with some sequence.
 */
inline issue_elsewhere(n)
{
	do
	:: ledger[n] < TICKS ->
		ledger[n]++;
		select (sequence : 0 .. SEQUENCES - 1);
		issue(ID(n, STATE(ledger[n], sequence)));
		sequence = 0
	:: true -> break
	od
}

/* A claim of that node ID, acknowledged. */
inline claim(n)
{
	node = n;
	issue_elsewhere(node);
	low = ledger[node];
	select (high : low .. TICKS);
	ledger[node] = high;
#ifdef REACH
	issued_by = 0;
#endif
}

inline claim_any()
{
	claims++;
	select (node : 0 .. NODES - 1);
	claim(node)
}

inline raise()
{
	do
	:: atomic { state < LAST(low) -> last = state };
		atomic {
			if
			:: state == last -> state = LAST(low)
			:: else
			fi;
			last = 0
		}
	:: state >= LAST(low) -> break
	od
}

inline raise_and_grant()
{
#ifdef MUTATION_GRANT_BEFORE_RAISE
	grant = GRANT(node, high);
	raise()
#else
#ifndef MUTATION_STATE_NOT_RAISED
	raise();
#endif
	grant = GRANT(node, high)
#endif
}

/* Strictly above what was used, so that no exchange from before succeeds. */
inline reopen()
{
	d_step {
#if defined(MUTATION_REOPEN_SAME)
		last = MAX(last, LAST(low));
#elif defined(MUTATION_REOPEN_IGNORES_LOW)
		last = LAST(TICK(last) + 1);
#else
		last = MAX(LAST(TICK(last) + 1), LAST(low));
#endif
		state = last;
		last = 0
#ifdef REACH
		; reopened++
#endif
	}
}

proctype Worker()
{
	byte node, low, high;		/* the claim */
	byte last, sequence;		/* scratch */

	/* Node IDs differ in nothing but their number, so the first claim is of 0. */
	atomic { claim(0) };
	raise_and_grant();

	do
	/* Extended: acknowledged, then published. */
	:: atomic {
		high < TICKS ->
		select (high : high + 1 .. TICKS);
		ledger[node] = high;
		grant = GRANT(node, high)
	   }

	/*
	 * Fenced: the old grant stays, good to its last tick, until a new claim
	 * is acknowledged.
	 */
	:: atomic {
		claims < RECLAIMS ->
		issue_elsewhere(node);
		claim_any()
	   };
		raise_and_grant()

	/* Release, and claim again. */
	:: true ->
#if defined(MUTATION_WITHDRAW_WITHOUT_CLOSE)
		grant = UNSET;
		last = state;
#elif defined(MUTATION_CLOSE_IN_TWO_STEPS)
		last = state;
		state = state | CLOSED;
		grant = UNSET;
#else
		atomic { last = state; state = state | CLOSED };
#if !defined(MUTATION_GRANT_LEFT) && !defined(MUTATION_REOPEN_BEFORE_GRANT)
		grant = UNSET;
#endif
#endif
		atomic {
			ledger[node] = MAX(low, TICK(last));
			ledger[node] = MIN(high, ledger[node]);
			issue_elsewhere(node);
			/* When it may claim no more, it stops here. */
			claims < RECLAIMS ->
			claim_any()
		};
#if defined(MUTATION_WITHDRAW_WITHOUT_CLOSE)
		last = 0;
		raise_and_grant()
#elif defined(MUTATION_REOPEN_FIRST) || defined(MUTATION_REOPEN_BEFORE_GRANT)
		reopen();
		grant = GRANT(node, high)
#else
		grant = GRANT(node, high);
		reopen()
#endif
	od
}

init
{
	byte i;

	atomic {
		run Worker();
		run Horizon();
		for (i : 0 .. BACKENDS - 1) {
			run Backend(i)
		}
		i = 0
	}
}
