/*-------------------------------------------------------------------------
 *
 * version.h
 *	  Is the library of the version that the SQL objects are of?
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_VERSION_H
#define SF_VERSION_H

extern char *sf_version_of_objects(Oid function);
extern void sf_version_check(Oid function);

#endif							/* SF_VERSION_H */
