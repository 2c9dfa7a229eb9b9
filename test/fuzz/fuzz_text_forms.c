/*-------------------------------------------------------------------------
 *
 * fuzz_text_forms.c
 *	  Fuzz target: IDs as texts.
 *
 * The first byte of the input chooses the form, the others are the text; and
 * the first eight of these are an ID that is written.  A text that is accepted
 * must be, but for other ways to write a digit, the one that is written for
 * what was read: nothing else may be taken.  What is written must be accepted
 * and, in the forms of fixed width, sort like the ID.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"
#include "text_forms.h"

static void
write_and_read(const SfTextForm *form, uint64_t id, char text[SF_TEXT_FORM_SIZE])
{
	SfTextRead	read;

	sf_text_form_write(form, id, text);
	require(strlen(text) < SF_TEXT_FORM_SIZE, "a text has no end");
	read = sf_text_form_read(form, text, strlen(text));
	require(read.status == SF_TEXT_OK && read.id == id, "%s: %" PRIu64 " is written \"%s\" and read as %" PRIu64 ", status %d",
			form->name, id, text, read.id, read.status);
}

/* Two texts that may differ in the ways that a reader takes for the same */
static void
require_same(const SfTextForm *form, const char *given, size_t len, const char *written)
{
	for (size_t i = 0; i < len; i++)
	{
		char		c = given[i];

		if (form->is_crockford)
		{
			if (c == '-')
			{
				require(i > 0 && i + 1 < len && given[i + 1] != '-', "%s: \"%.*s\" was accepted", form->name, (int) len, given);
				continue;
			}
			if (c >= 'a' && c <= 'z')
				c -= 'a' - 'A';
			c = c == 'O' ? '0' : c == 'I' || c == 'L' ? '1' : c;
		}
		else if (form->letter_case == SF_CASE_IS_ONE && c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		require(c == *written, "%s: \"%.*s\" was accepted", form->name, (int) len, given);
		written++;
	}
	require(*written == '\0', "%s: \"%.*s\" was accepted", form->name, (int) len, given);
}

static void
check_text(const SfTextForm *form, const uint8_t *data, size_t size)
{
	/* A block of just this size, and none to read from for no bytes */
	char	   *text = malloc(size > 0 ? size : 1);
	SfTextRead	read;

	memcpy(text, data, size);
	read = sf_text_form_read(form, size > 0 ? text : text + 1, size);
	if (read.status == SF_TEXT_OK)
	{
		char		written[SF_TEXT_FORM_SIZE];

		require(read.id <= INT64_MAX, "%s: more than a bigint was accepted", form->name);
		write_and_read(form, read.id, written);
		require_same(form, text, size, written);
	}
	require(read.at <= size && read.digits <= form->width + 1, "%s: place of the error", form->name);
	free(text);
}

static void
check_id(const SfTextForm *form, uint64_t id)
{
	char		text[SF_TEXT_FORM_SIZE];

	write_and_read(form, id, text);
	if (!form->shortest && id < INT64_MAX)
	{
		char		next[SF_TEXT_FORM_SIZE];

		write_and_read(form, id + 1, next);
		require(strcmp(text, next) < 0, "%s: \"%s\" sorts after \"%s\"", form->name, text, next);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const SfTextForm *form = sf_text_form(fuzz_number(&data, &size, 1) % sf_text_form_count());

	check_text(form, data, size);
	check_id(form, fuzz_number(&data, &size, 8) & INT64_MAX);
	return 0;
}
