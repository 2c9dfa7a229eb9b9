/*-------------------------------------------------------------------------
 *
 * sequence.c
 *	  The extension's own sequences, as durable words of a database.
 *
 * An ordinary sequence is WAL-logged, replayed by standbys that have no
 * library of ours, and carried by base backups, pg_dump and pg_upgrade.  We
 * change its one tuple in place, as nextval() does, without a transaction ID,
 * so it works in read-only transactions and parallel workers too.
 *
 * Each change logs the whole page.  nextval() and setval() change more bytes
 * than they log, so a record of the difference, replayed over theirs, could
 * bring an older value back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/sequence.h"
#include "compat.h"
#include "sequence.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

static const char *const word_names[SF_NUM_WORDS] = {
	[SF_WORD_HORIZON] = "snowflake_horizon",
	[SF_WORD_FIELDS] = "snowflake_layout_fields",
	[SF_WORD_EPOCH] = "snowflake_layout_epoch",
};

/* Where they were found last, to tell whether an invalidation concerns us. */
static Oid	word_oids[SF_NUM_WORDS];

/*
 * Open the sequences that stand beside a function of the extension.
 *
 * To change them the lock must be RowExclusiveLock, the one of nextval(): a
 * weaker one would let us write to a file that a concurrent ALTER SEQUENCE is
 * about to replace.
 */
void
sf_words_open(SfWords *words, Oid function, LOCKMODE lockmode)
{
	Oid			namespace = get_func_namespace(function);

	for (int i = 0; i < SF_NUM_WORDS; i++)
	{
		Relation	rel;

		word_oids[i] = get_relname_relid(word_names[i], namespace);
		rel = OidIsValid(word_oids[i]) ? try_relation_open(word_oids[i], lockmode) : NULL;
		if (rel == NULL || rel->rd_rel->relkind != RELKIND_SEQUENCE)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("sequence \"%s\" of the snowflake extension is missing", word_names[i]),
					 errhint("Create the extension anew.")));
		words->rel[i] = rel;
		words->buffer[i] = InvalidBuffer;
	}
}

void
sf_words_close(SfWords *words, LOCKMODE lockmode)
{
	for (int i = SF_NUM_WORDS - 1; i >= 0; i--)
	{
		if (BufferIsValid(words->buffer[i]))
			UnlockReleaseBuffer(words->buffer[i]);
		relation_close(words->rel[i], lockmode);
	}
}

/* Lock the pages, always in the same order. */
void
sf_words_lock(SfWords *words, int bufferlock)
{
	for (int i = 0; i < SF_NUM_WORDS; i++)
	{
		words->buffer[i] = ReadBuffer(words->rel[i], 0);
		LockBuffer(words->buffer[i], bufferlock);
	}
}

static Form_pg_sequence_data
tuple_on_page(Page page, const char *name)
{
	ItemId		item = PageGetItemId(page, FirstOffsetNumber);
	HeapTupleHeader header;

	if (PageGetMaxOffsetNumber(page) < FirstOffsetNumber || !ItemIdIsNormal(item))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("sequence \"%s\" has no tuple", name)));
	header = (HeapTupleHeader) PageGetItem(page, item);
	return (Form_pg_sequence_data) ((char *) header + header->t_hoff);
}

SfWordValue
sf_words_read(const SfWords *words, SfWord word)
{
	Form_pg_sequence_data tuple = tuple_on_page(BufferGetPage(words->buffer[word]), word_names[word]);

	return (SfWordValue) {.set = tuple->is_called, .value = tuple->last_value, .mark = tuple->log_cnt};
}

/* Up to where WAL must be flushed for what is on the page to be durable. */
XLogRecPtr
sf_words_lsn(const SfWords *words, SfWord word)
{
	return PageGetLSN(BufferGetPage(words->buffer[word]));
}

/* Refuse to work with words that a rollback or a crash would take away. */
void
sf_words_require_lasting(const SfWords *words)
{
	for (int i = 0; i < SF_NUM_WORDS; i++)
	{
		if (sf_file_is_new(words->rel[i]))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("sequence \"%s\" was altered by this transaction", word_names[i]),
					 errdetail("What it holds would be lost if the transaction is rolled back, and IDs could repeat."),
					 errhint("Commit the transaction first.")));
		if (!RelationNeedsWAL(words->rel[i]))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("sequence \"%s\" is not WAL-logged", word_names[i]),
					 errdetail("What it holds would not survive a crash, and IDs could repeat."),
					 errhint("Set it LOGGED; with \"wal_level\" = minimal, commit the transaction that made it first.")));
	}
}

/*
 * Change the words from first to last, in one WAL record, under the pages'
 * exclusive locks.  Returns up to where WAL must be flushed for the change to
 * be durable.
 */
XLogRecPtr
sf_words_write(SfWords *words, const SfWordValue *values, int first, int last)
{
	GenericXLogState *record;

	record = GenericXLogStart(words->rel[first]);
	for (int i = first; i <= last; i++)
	{
		Page		page = GenericXLogRegisterBuffer(record, words->buffer[i], GENERIC_XLOG_FULL_IMAGE);
		Form_pg_sequence_data tuple = tuple_on_page(page, word_names[i]);

		tuple->last_value = values[i].value;
		tuple->log_cnt = values[i].mark;
		tuple->is_called = values[i].set;
	}
	return GenericXLogFinish(record);
}

/* Is this one of the sequences that were opened last? */
bool
sf_words_contain(Oid relid)
{
	for (int i = 0; i < SF_NUM_WORDS; i++)
	{
		if (word_oids[i] == relid)
			return true;
	}
	return false;
}
