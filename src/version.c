/*-------------------------------------------------------------------------
 *
 * version.c
 *	  Is the library of the version that the SQL objects are of?
 *
 * The file of the library is one for the server, the SQL objects are in each
 * database and stay as they are until ALTER EXTENSION ... UPDATE, so after a
 * new package was installed they differ for a while.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "shared.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "version.h"

/*
 * The version of the extension that a function belongs to, or NULL where it
 * was not made by one.
 */
char *
sf_version_of_objects(Oid function)
{
	Oid			extension = getExtensionOfObject(ProcedureRelationId, function);
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *version = NULL;

	if (!OidIsValid(extension))
		return NULL;

	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_extension_extversion,
										 RelationGetDescr(rel), &isnull);

		if (!isnull)
			version = TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return version;
}

/* Is this version, of numbers with dots, an earlier one than ours? */
static bool
is_earlier(const char *version)
{
	int			theirs[3] = {0};
	int			ours[3] = {0};

	sscanf(version, "%d.%d.%d", &theirs[0], &theirs[1], &theirs[2]);
	sscanf(SF_VERSION, "%d.%d.%d", &ours[0], &ours[1], &ours[2]);
	for (int i = 0; i < 3; i++)
	{
		if (theirs[i] != ours[i])
			return theirs[i] < ours[i];
	}
	return false;
}

/*
 * Warn if the SQL objects of this database, which the function is one of, are
 * not of the library's version.  Reads the catalogs.
 */
void
sf_version_check(Oid function)
{
	char	   *version = sf_version_of_objects(function);

	if (version == NULL || strcmp(version, SF_VERSION) == 0)
		return;
	ereport(WARNING,
			(errmsg("the snowflake library is of version %s, but the extension in this database of version %s",
					SF_VERSION, version),
			 is_earlier(version) ?
			 errhint("Run ALTER EXTENSION snowflake UPDATE in this database.") :
			 errhint("Install the library of that version, and restart the server.")));
}
