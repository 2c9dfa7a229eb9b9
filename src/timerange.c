/*-------------------------------------------------------------------------
 *
 * timerange.c
 *	  Asking for IDs by time: snowflake_within() and what the planner makes
 *	  of it.
 *
 * The IDs of a range of time are all those between two of them, so the
 * planner turns the condition into two comparisons of bigint.  Index scans,
 * statistics, partition pruning and postgres_fdw then work as they do for any
 * bigint, with nothing more written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "decode.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "shared.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rangetypes.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(snowflake_within);
PG_FUNCTION_INFO_V1(snowflake_first);
PG_FUNCTION_INFO_V1(snowflake_last);
PG_FUNCTION_INFO_V1(snowflake_within_support);

/*
 * From one ID to another.  The last one is still in it, since no bigint is
 * above the largest ID.
 */
typedef struct IdRange
{
	int64		first;
	int64		last;
} IdRange;

/*
 * No ID at all.  The bounds adjoin, so that the planner, which adds up what is
 * left out below and above, sees that nothing remains.
 */
static const IdRange no_ids = {0, -1};

/*
 * The first and the last tick that start in the range; false where none does.
 * A bound that is outside the layout is no error: there are just no IDs there.
 */
static bool
ticks_of_range(const SfLayout *layout, const RangeType *range,
			   uint64_t *first, uint64_t *last)
{
	TypeCacheEntry *typcache = lookup_type_cache(RangeTypeGetOid(range), TYPECACHE_RANGE_INFO);
	RangeBound	lower;
	RangeBound	upper;
	bool		empty;
	uint64_t	tick;

	range_deserialize(typcache, range, &lower, &upper, &empty);
	if (empty)
		return false;

	*first = 0;
	*last = sf_max_value(layout->bits[SF_TIME]);

	if (!lower.infinite)
	{
		switch (sf_timestamp_tick(layout, DatumGetTimestampTz(lower.val), lower.inclusive, &tick))
		{
			case SF_TICK_OK:
				/* Else it is the tick that starts at the bound or before. */
				if (!lower.inclusive && tick++ == *last)
					return false;
				*first = tick;
				break;
			case SF_TICK_BEFORE_EPOCH:
				break;
			case SF_TICK_AFTER_END:
				return false;
		}
	}
	if (!upper.infinite)
	{
		switch (sf_timestamp_tick(layout, DatumGetTimestampTz(upper.val), !upper.inclusive, &tick))
		{
			case SF_TICK_OK:
				/* Else it is the tick that starts at the bound or after. */
				if (!upper.inclusive && tick-- == 0)
					return false;
				*last = tick;
				break;
			case SF_TICK_BEFORE_EPOCH:
				return false;
			case SF_TICK_AFTER_END:
				break;
		}
	}
	return *first <= *last;
}

/*
 * The IDs with a time in the range.  None of them is negative, as nowhere
 * else: of a layout of 64 bits a bigint has those IDs that fit into it.
 */
static IdRange
ids_of_range(const SfLayout *layout, const RangeType *range)
{
	int			shift = layout->shift[SF_TIME];
	uint64_t	first;
	uint64_t	last;
	uint64_t	last_id;
	IdRange		ids;

	if (!ticks_of_range(layout, range, &first, &last) ||
		first > (uint64_t) PG_INT64_MAX >> shift)
		return no_ids;

	last_id = last << shift | sf_max_value(shift);
	ids.first = (int64) (first << shift);
	ids.last = (int64) Min(last_id, (uint64_t) PG_INT64_MAX);
	return ids;
}

static IdRange
ids_of_call(FunctionCallInfo fcinfo, int rangeno)
{
	return ids_of_range(sf_layout_of_call(fcinfo, rangeno + 1), PG_GETARG_RANGE_P(rangeno));
}

/*
 * snowflake_within(id bigint, range tstzrange [, layout text]) returns boolean
 *
 * Whether the ID's time, which is the start of its tick, is in the range.  A
 * number that is no ID of the layout, such as a negative one, is in no range.
 *
 * STABLE without a layout and IMMUTABLE with one, as are the functions of
 * decode.c and for the same reason.
 *
 * Errors, here and in the two functions below: 22023 the layout's text is not
 * one, 55000 no layout given and not preloaded.
 */
Datum
snowflake_within(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	IdRange		ids = ids_of_call(fcinfo, 1);

	PG_RETURN_BOOL(id >= ids.first && id <= ids.last);
}

/*
 * snowflake_first(range tstzrange [, layout text]) returns bigint
 * snowflake_last(range tstzrange [, layout text]) returns bigint
 *
 * The smallest and the largest ID with a time in the range.  Where there is no
 * such ID, the first is greater than the last; they are NULL for a NULL only.
 */
Datum
snowflake_first(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(ids_of_call(fcinfo, 0).first);
}

Datum
snowflake_last(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(ids_of_call(fcinfo, 0).last);
}

/* May an argument appear more often than it was written? */
static bool
may_be_copied(Node *arg)
{
	return !contain_volatile_functions(arg) && !contain_subplans(arg) &&
		!expression_returns_set(arg);
}

static bool
is_known(Node *arg)
{
	return IsA(arg, Const) && !castNode(Const, arg)->constisnull;
}

/*
 * The layout of a call, if it is known now and can be had without an error.
 *
 * That of the server does not change while a plan lives.  But an expression
 * that does not come with a query may be one that is to be stored: CREATE
 * INDEX takes for immutable what is so once it is simplified.
 */
static bool
known_layout(PlannerInfo *root, Node *arg, SfLayout *layout)
{
	SfTextError error;

	if (arg != NULL)
		return is_known(arg) &&
			sf_layout_parse(TextDatumGetCString(castNode(Const, arg)->constvalue), layout, &error);

	if (root == NULL || !sf_shared_exists())
		return false;
	sf_shared_attach();
	*layout = sf_shared->layout;
	return true;
}

/*
 * The call of a sibling of snowflake_within(), which has the same arguments
 * but for the ID; NULL where there is no such function any more.  It does not
 * use the collation of the layout's text, and without one postgres_fdw can
 * send it.
 */
static Expr *
call_sibling(const char *name, FuncExpr *call, List *args)
{
	Oid			types[] = {TSTZRANGEOID, TEXTOID};
	oidvector  *argtypes = buildoidvector(types, list_length(args));
	Oid			sibling = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
										  CStringGetDatum(name), PointerGetDatum(argtypes),
										  ObjectIdGetDatum(get_func_namespace(call->funcid)));

	if (!OidIsValid(sibling))
		return NULL;
	return (Expr *) makeFuncExpr(sibling, INT8OID, copyObject(args), InvalidOid,
								 InvalidOid, COERCE_EXPLICIT_CALL);
}

static Expr *
constant_id(int64 id)
{
	return (Expr *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64), Int64GetDatum(id),
							  false, get_typbyval(INT8OID));
}

static Expr *
compare(Node *id, int strategy, Expr *bound)
{
	Oid			operator = get_opfamily_member(INTEGER_BTREE_FAM_OID, INT8OID, INT8OID, strategy);
	Expr	   *clause = make_opclause(operator, BOOLOID, false, copyObject((Expr *) id), bound,
									   InvalidOid, InvalidOid);

	set_opfuncid(castNode(OpExpr, clause));
	return clause;
}

/*
 * Turn a call into "id >= first AND id <= last", or return NULL.
 *
 * Bounds that can be known now become constants.  The planner would not fold
 * the functions that compute them, which are STABLE without a layout; but with
 * constants it prunes partitions and estimates from the column's statistics.
 */
static Node *
simplify(PlannerInfo *root, FuncExpr *call)
{
	Node	   *id = linitial(call->args);
	List	   *rest = list_copy_tail(call->args, 1);
	Node	   *range = linitial(rest);
	Node	   *layout_arg = list_length(rest) > 1 ? lsecond(rest) : NULL;
	SfLayout	layout;
	Expr	   *first;
	Expr	   *last;

	if (!may_be_copied(id))
		return NULL;

	if (is_known(range) && known_layout(root, layout_arg, &layout))
	{
		IdRange		ids = ids_of_range(&layout, DatumGetRangeTypeP(castNode(Const, range)->constvalue));

		first = constant_id(ids.first);
		last = constant_id(ids.last);
	}
	else
	{
		if (!may_be_copied((Node *) rest))
			return NULL;
		first = call_sibling("snowflake_first", call, rest);
		last = call_sibling("snowflake_last", call, rest);
		if (first == NULL || last == NULL)
			return NULL;
	}

	return (Node *) make_andclause(list_make2(compare(id, BTGreaterEqualStrategyNumber, first),
											  compare(id, BTLessEqualStrategyNumber, last)));
}

/* The planner support function of snowflake_within(). */
Datum
snowflake_within_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	Node	   *result = NULL;

	if (IsA(request, SupportRequestSimplify))
	{
		SupportRequestSimplify *simplification = (SupportRequestSimplify *) request;

		result = simplify(simplification->root, simplification->fcall);
	}
	PG_RETURN_POINTER(result);
}
