/*-------------------------------------------------------------------------
 *
 * sequence.h
 *	  The extension's own sequences, as durable words of a database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_SEQUENCE_H
#define SF_SEQUENCE_H

#include "access/xlogdefs.h"
#include "storage/buf.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"

typedef enum SfWord
{
	SF_WORD_HORIZON,			/* milliseconds since 1970 */
	SF_WORD_FIELDS,				/* sf_layout_pack() */
	SF_WORD_EPOCH				/* milliseconds since 1970 */
} SfWord;

#define SF_NUM_WORDS	3

/* What a sequence holds. */
typedef struct SfWordValue
{
	bool		set;			/* is_called */
	int64		value;			/* last_value */
	int64		mark;			/* log_cnt */
} SfWordValue;

/* The sequences of one database, opened. */
typedef struct SfWords
{
	Relation	rel[SF_NUM_WORDS];
	Buffer		buffer[SF_NUM_WORDS];
} SfWords;

extern void sf_words_open(SfWords *words, Oid function, LOCKMODE lockmode);
extern void sf_words_require_lasting(const SfWords *words);
extern void sf_words_lock(SfWords *words, int bufferlock);
extern SfWordValue sf_words_read(const SfWords *words, SfWord word);
extern XLogRecPtr sf_words_lsn(const SfWords *words, SfWord word);
extern XLogRecPtr sf_words_write(SfWords *words, const SfWordValue *values, int first, int last);
extern void sf_words_close(SfWords *words, LOCKMODE lockmode);
extern bool sf_words_contain(Oid relid);

#endif							/* SF_SEQUENCE_H */
