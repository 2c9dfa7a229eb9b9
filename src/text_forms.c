/*-------------------------------------------------------------------------
 *
 * text_forms.c
 *	  IDs as short texts.
 *
 * The digits of every form are in byte order, and a text has leading zeros up
 * to the width of the largest ID.  So texts of one form sort like their IDs
 * wherever text is compared byte by byte, as under the collation "C".  The
 * form with "-short" behind its name is the same number without the zeros,
 * and does not sort.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "text_forms.h"

#define BASE62	"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define BASE58	"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
#define BASE36	"0123456789abcdefghijklmnopqrstuvwxyz"
#define BASE32	"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#define BASE16	"0123456789abcdef"

/* Both forms of an alphabet */
#define FORMS(name, digits, words, width, letter_case, is_crockford) \
	{name, digits, words, sizeof(digits) - 1, width, false, letter_case, is_crockford}, \
	{name "-short", digits, words, sizeof(digits) - 1, width, true, letter_case, is_crockford}

/*
 * base58 has Bitcoin's digits, crockford is https://www.crockford.com/base32.html
 * without its check symbol.  Base 36 and 16 are written with small letters, as
 * JavaScript's toString() and PostgreSQL's to_hex() do.
 */
static const SfTextForm forms[] = {
	FORMS("base62", BASE62, "0-9, A-Z and a-z", 11, SF_CASE_IS_VALUE, false),
	FORMS("base58", BASE58, "1-9, A-Z without I and O, and a-z without l", 11, SF_CASE_IS_VALUE, false),
	FORMS("base36", BASE36, "0-9 and a-z", 13, SF_CASE_IS_ONE, false),
	FORMS("crockford", BASE32, "0-9 and A-Z without U", 13, SF_CASE_IS_FREE, true),
	FORMS("hex", BASE16, "0-9 and a-f", 16, SF_CASE_IS_ONE, false),
};

int
sf_text_form_count(void)
{
	return sizeof(forms) / sizeof(forms[0]);
}

const SfTextForm *
sf_text_form(int i)
{
	return &forms[i];
}

/* The form of this name, which need not end with a NUL; NULL: there is none. */
const SfTextForm *
sf_text_form_find(const char *name, size_t len)
{
	for (int i = 0; i < sf_text_form_count(); i++)
	{
		if (strlen(forms[i].name) == len && memcmp(forms[i].name, name, len) == 0)
			return &forms[i];
	}
	return NULL;
}

void
sf_text_form_write(const SfTextForm *form, uint64_t id, char buf[SF_TEXT_FORM_SIZE])
{
	uint64_t	base = form->base;
	char		reversed[SF_TEXT_FORM_SIZE];
	int			n = 0;

	do
	{
		reversed[n++] = form->digits[id % base];
		id /= base;
	} while (id > 0);
	while (!form->shortest && n < form->width)
		reversed[n++] = form->digits[0];

	for (int i = 0; i < n; i++)
		buf[i] = reversed[n - 1 - i];
	buf[n] = '\0';
}

/* Own ones: those of the C library may depend on the locale. */
static bool
is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool
is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* The value of a character, or -1 where it is no digit of the form. */
static int
digit_value(const SfTextForm *form, char c)
{
	const char *found;

	if (form->is_crockford && (c == 'I' || c == 'i' || c == 'L' || c == 'l'))
		return 1;
	if (form->is_crockford && (c == 'O' || c == 'o'))
		return 0;

	found = memchr(form->digits, c, form->base);
	if (found == NULL && form->letter_case != SF_CASE_IS_VALUE && (is_lower(c) || is_upper(c)))
		found = memchr(form->digits, c ^ ('a' ^ 'A'), form->base);
	return found ? (int) (found - form->digits) : -1;
}

/*
 * Read an ID; the inverse of writing it.  A text is refused unless it is what
 * would be written, but for the case of letters and Crockford's rules, as far
 * as the form has them.  Reads no further than a text that may be right goes.
 */
SfTextRead
sf_text_form_read(const SfTextForm *form, const char *text, size_t len)
{
	SfTextRead	read = {.status = SF_TEXT_OK};
	uint64_t	base = form->base;
	bool		too_large = false;
	bool		leading_zero = false;
	bool		lower = false;
	bool		upper = false;

	for (read.at = 0; read.at < len; read.at++)
	{
		char		c = text[read.at];
		int			digit = digit_value(form, c);

		if (digit < 0)
		{
			if (c != '-' || !form->is_crockford)
				read.status = SF_TEXT_NO_DIGIT;
			else if (read.at == 0 || read.at + 1 == len || text[read.at - 1] == '-')
				read.status = SF_TEXT_HYPHEN;
			else
				continue;
			return read;
		}

		lower |= is_lower(c);
		upper |= is_upper(c);
		if (lower && upper && form->letter_case == SF_CASE_IS_ONE)
		{
			read.status = SF_TEXT_MIXED_CASE;
			return read;
		}

		leading_zero |= read.digits == 0 && digit == 0;
		too_large |= __builtin_mul_overflow(read.id, base, &read.id) ||
			__builtin_add_overflow(read.id, (uint64_t) digit, &read.id) ||
			read.id > INT64_MAX;
		if (++read.digits > form->width)
			break;
	}

	if (read.digits == 0 || (!form->shortest && read.digits != form->width))
		read.status = SF_TEXT_LENGTH;
	else if (form->shortest && leading_zero && read.digits > 1)
		read.status = SF_TEXT_LEADING_ZERO;
	else if (too_large)
		read.status = SF_TEXT_TOO_LARGE;
	return read;
}
