/*-------------------------------------------------------------------------
 *
 * text.c
 *	  The SQL functions for IDs as texts, and for JavaScript.
 *
 * Neither knows a layout: they work for any number that can be an ID.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "text_forms.h"
#include "utils/builtins.h"

/* 2^53 - 1, which JavaScript calls Number.MAX_SAFE_INTEGER */
#define JS_MAX_SAFE_INTEGER		((INT64CONST(1) << 53) - 1)

PG_FUNCTION_INFO_V1(snowflake_to_text);
PG_FUNCTION_INFO_V1(snowflake_from_text);
PG_FUNCTION_INFO_V1(snowflake_js_safe);

static const SfTextForm *
form_of_name(const text *name)
{
	const SfTextForm *form = sf_text_form_find(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));

	if (form == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized format of a snowflake ID: \"%s\"", text_to_cstring(name)),
				 errhint("The formats are base62, base58, base36, crockford (base 32) and hex, each also with \"-short\" behind it for no leading zeros.")));
	return form;
}

/*
 * snowflake_to_text(id bigint, format text) returns text
 *
 * The ID in one of the formats base62, base58, base36, crockford and hex: as
 * many characters as the largest bigint needs in it, which sort like IDs under
 * the collation "C".  With "-short" behind the format's name without leading
 * zeros, and not sortable.
 *
 * Errors: 22003 the ID is negative, 22023 there is no such format.
 *
 * IMMUTABLE: what a format means never changes.
 */
Datum
snowflake_to_text(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	const SfTextForm *form = form_of_name(PG_GETARG_TEXT_PP(1));
	char		buf[SF_TEXT_FORM_SIZE];

	if (id < 0)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("snowflake ID must not be negative: " INT64_FORMAT, id)));
	sf_text_form_write(form, (uint64) id, buf);
	PG_RETURN_TEXT_P(cstring_to_text(buf));
}

/* The DETAIL of a text that was refused. */
static int
errdetail_of_read(const SfTextForm *form, const text *arg, const SfTextRead *read)
{
	/* Characters before this one were digits and hyphens, of a byte each. */
	const char *wrong = VARDATA_ANY(arg) + read->at;
	int			wrong_len = pg_mbcharcliplen(wrong, VARSIZE_ANY_EXHDR(arg) - read->at, 1);

	switch (read->status)
	{
		case SF_TEXT_NO_DIGIT:
			return errdetail("Character %zu, \"%.*s\", is not one of %s.",
							 read->at + 1, wrong_len, wrong, form->digits_in_words);
		case SF_TEXT_HYPHEN:
			return errdetail("The hyphen at character %zu is not between two digits.",
							 read->at + 1);
		case SF_TEXT_MIXED_CASE:
			return errdetail("Letters must be all small or all capital; character %zu, \"%.*s\", differs from those before.",
							 read->at + 1, wrong_len, wrong);
		case SF_TEXT_LEADING_ZERO:
			return errdetail("Texts in this format have no leading zeros (\"%c\").",
							 form->digits[0]);
		default:
			if (read->digits == 0)
				return errdetail("The text is empty.");
			if (read->digits > form->width)
				return errdetail("The text has more than %d digits.", form->width);
			return errdetail("The text has %d of %d digits.", read->digits, form->width);
	}
}

/* Say why a text is not an ID. */
static void
refuse(const SfTextForm *form, const text *arg, const SfTextRead *read)
{
	bool		too_short = read->status == SF_TEXT_LENGTH && read->digits > 0 && read->digits < form->width;

	if (read->status == SF_TEXT_TOO_LARGE)
	{
		char		largest[SF_TEXT_FORM_SIZE];

		sf_text_form_write(form, PG_INT64_MAX, largest);
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("snowflake ID is too large in format \"%s\": \"%s\"", form->name, text_to_cstring(arg)),
				 errdetail("The largest is \"%s\".", largest)));
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid snowflake ID in format \"%s\": \"%s\"", form->name, text_to_cstring(arg)),
			 errdetail_of_read(form, arg, read),
			 too_short ? errhint("Texts without leading zeros are read in format \"%s-short\".", form->name) : 0));
}

/*
 * snowflake_from_text(string text, format text) returns bigint
 *
 * The ID that snowflake_to_text() wrote in this format, and an error for
 * every other text.  Of several ways to write a digit all are taken: hex and
 * base36 in capital letters, but not mixed; crockford in any case, with O for
 * 0, I and L for 1, and single hyphens between digits.
 *
 * Errors: 22P02 the text is none of these, 22003 the number is larger than a
 * bigint, 22023 there is no such format.
 *
 * IMMUTABLE, as snowflake_to_text().
 */
Datum
snowflake_from_text(PG_FUNCTION_ARGS)
{
	text	   *arg = PG_GETARG_TEXT_PP(0);
	const SfTextForm *form = form_of_name(PG_GETARG_TEXT_PP(1));
	SfTextRead	read = sf_text_form_read(form, VARDATA_ANY(arg), VARSIZE_ANY_EXHDR(arg));

	if (read.status != SF_TEXT_OK)
		refuse(form, arg, &read);
	PG_RETURN_INT64((int64) read.id);
}

/*
 * snowflake_js_safe(id bigint) returns boolean
 *
 * Whether JavaScript's numbers, which are doubles, tell this ID from every
 * other: what Number.isSafeInteger() says there.
 *
 * IMMUTABLE: it is a comparison with a constant.
 */
Datum
snowflake_js_safe(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);

	PG_RETURN_BOOL(id >= -JS_MAX_SAFE_INTEGER && id <= JS_MAX_SAFE_INTEGER);
}
