/*-------------------------------------------------------------------------
 *
 * record.h
 *	  What the nodes in ZooKeeper hold, as text.
 *
 * A record is a line that names its kind and the version of its format, then
 * one line for each field, in a fixed order: the field's name, a blank, its
 * value.  Every server of a cluster reads what others have written, and who
 * may write there may be somebody else, so nothing is taken that
 * is not exactly what the functions here would write.
 *
 * Pure, like layout.h: no PostgreSQL, no ZooKeeper, unit-tested alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_ZK_RECORD_H
#define SF_ZK_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"
#include "lease.h"

/* The longest record, with its final NUL. */
#define SF_RECORD_SIZE			1536

#define SF_UUID_SIZE			37	/* of its text, with the NUL */
#define SF_NAME_SIZE			128 /* host, owner, version */
#define SF_REPORT_SIZE			512

/* Times in records are milliseconds since 1970, up to the year 9999. */
#define SF_RECORD_MAX_MS		INT64_C(253402300799999)

/* <path>/config */
typedef struct SfConfigRecord
{
	char		cluster[SF_UUID_SIZE];	/* part of the paths of all that
										 * follows */
	int64_t		generation;		/* of the layout: 1, 2, ... */
	char		layout[SF_LAYOUT_TEXT_SIZE];
	int64_t		floor_ms;		/* no claim begins before it */
	bool		frozen;			/* being changed: no claims, no extensions */
} SfConfigRecord;

/* <path>/<cluster>/ids/<node ID>, the ledger */
typedef struct SfLedgerRecord
{
	char		owner[SF_NAME_SIZE];	/* who claimed it last, for people */
	bool		has_nonce;		/* false: given back */
	uint8_t		nonce[SF_LEASE_NONCE_BYTES];
	int64_t		claim;			/* 1, 2, ... */
	int64_t		low_ms;			/* IDs may have been made from here ... */
	int64_t		high_ms;		/* ... to here, or by earlier holders before */
	bool		retired;		/* not to be claimed */
} SfLedgerRecord;

/* <path>/<cluster>/nodes/<node ID>, the registry */
typedef struct SfNodeRecord
{
	char		host[SF_NAME_SIZE];
	int64_t		port;
	char		version[SF_NAME_SIZE];
	int64_t		since_ms;		/* when the lease was claimed */
	int64_t		high_ms;		/* of the lease, when this was written */
	int64_t		offset_us;		/* of its clock against the ensemble's */
	int64_t		error_us;		/* that this may be wrong by */
	bool		leader;
	char		report[SF_REPORT_SIZE]; /* of the leader, may be empty */
} SfNodeRecord;

/* What is wrong with a record, as a part of a sentence. */
typedef struct SfRecordError
{
	char		message[160];
} SfRecordError;

extern size_t sf_config_format(const SfConfigRecord *record, char buf[SF_RECORD_SIZE]);
extern bool sf_config_parse(const char *text, size_t length, SfConfigRecord *record, SfRecordError *error);
extern size_t sf_ledger_format(const SfLedgerRecord *record, char buf[SF_RECORD_SIZE]);
extern bool sf_ledger_parse(const char *text, size_t length, SfLedgerRecord *record, SfRecordError *error);
extern size_t sf_node_format(const SfNodeRecord *record, char buf[SF_RECORD_SIZE]);
extern bool sf_node_parse(const char *text, size_t length, SfNodeRecord *record, SfRecordError *error);

extern bool sf_record_number(const char *text, size_t length, int64_t min, int64_t max, int64_t *value);
extern void sf_record_text(char *to, size_t size, const char *from);
extern void sf_record_uuid(const uint8_t random[16], char buf[SF_UUID_SIZE]);

#endif							/* SF_ZK_RECORD_H */
