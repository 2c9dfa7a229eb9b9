/*-------------------------------------------------------------------------
 *
 * test_text_forms.c
 *	  Tests of text_forms.c: IDs as texts.
 *
 * Every text is read from a heap block of just its size, without a NUL, and
 * written to one of just the size promised, so that the address sanitizer
 * sees a byte too many.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text_forms.h"
#include "unit.h"

#define RANDOM_IDS		200000
#define RANDOM_TEXTS	400000

#define MAX_ID			((uint64_t) INT64_MAX)

typedef unsigned __int128 uint128;

/* The form of that name; the test fails when there is none. */
static const SfTextForm *
form_of(const char *name, const char *suffix)
{
	char		full[40];
	const SfTextForm *form;

	snprintf(full, sizeof(full), "%s%s", name, suffix);
	form = sf_text_form_find(full, strlen(full));
	check(form != NULL, "there is no form \"%s\"", full);
	return form;
}

static SfTextRead
read_bytes(const SfTextForm *form, const char *text, size_t len)
{
	char	   *copy = malloc(len > 0 ? len : 1);
	SfTextRead	read;

	memcpy(copy, text, len);
	/* For no bytes at all, one that may not be read either */
	read = sf_text_form_read(form, len > 0 ? copy : copy + 1, len);
	free(copy);
	return read;
}

static SfTextRead
read_text(const SfTextForm *form, const char *text)
{
	return read_bytes(form, text, strlen(text));
}

static void
write_text(const SfTextForm *form, uint64_t id, char text[SF_TEXT_FORM_SIZE])
{
	char	   *buf = malloc(SF_TEXT_FORM_SIZE);

	memset(buf, 'x', SF_TEXT_FORM_SIZE);
	sf_text_form_write(form, id, buf);
	check(memchr(buf, '\0', SF_TEXT_FORM_SIZE) != NULL, "%s: text without end", form->name);
	strcpy(text, buf);
	free(buf);
}

/* The text must be that ID, and the ID that text. */
static void
check_pair(const SfTextForm *form, uint64_t id, const char *expected)
{
	char		text[SF_TEXT_FORM_SIZE];
	SfTextRead	read = read_text(form, expected);

	write_text(form, id, text);
	check(strcmp(text, expected) == 0, "%s: %" PRIu64 " is written \"%s\"", form->name, id, text);
	check(read.status == SF_TEXT_OK && read.id == id && read.digits == (int) strlen(expected),
		  "%s: \"%s\" is read as %" PRIu64 ", status %d", form->name, expected, read.id, read.status);
}

static void
check_refused(const SfTextForm *form, const char *text, size_t len, SfTextStatus status, size_t at)
{
	SfTextRead	read = read_bytes(form, text, len);

	check(read.status == status, "%s: \"%.*s\" has status %d instead of %d",
		  form->name, (int) len, text, read.status, status);
	if (status == SF_TEXT_NO_DIGIT || status == SF_TEXT_HYPHEN || status == SF_TEXT_MIXED_CASE)
		check(read.at == at, "%s: \"%.*s\" is wrong at %zu instead of %zu",
			  form->name, (int) len, text, read.at, at);
}

/*
 * The forms themselves
 */

static void
test_forms(void **state)
{
	(void) state;
	assert_int_equal(sf_text_form_count(), 10);
	for (int i = 0; i < sf_text_form_count(); i++)
	{
		const SfTextForm *form = sf_text_form(i);
		uint128		values = 1;
		int			width = 0;

		check((int) strlen(form->digits) == form->base, "%s: base", form->name);
		/* byte order is what makes texts sort */
		for (int d = 1; d < form->base; d++)
			check((unsigned char) form->digits[d - 1] < (unsigned char) form->digits[d],
				  "%s: digit %d is not in order", form->name, d);
		/* the least width that has room for every ID */
		for (; values <= MAX_ID; width++)
			values *= form->base;
		check(form->width == width, "%s: width %d instead of %d", form->name, form->width, width);
		check(width < SF_TEXT_FORM_SIZE, "%s: too wide", form->name);
		check(form->shortest == (strstr(form->name, "-short") != NULL), "%s: shortest", form->name);
	}
}

static void
test_names(void **state)
{
	static const char *const none[] = {
		"", "b", "base6", "base622", "base62 ", " base62", "Base62", "BASE62", "base62-", "base62-shor",
		"base62-shortt", "base62-short-short", "-short", "short", "base62short", "base32", "base64", "base16",
		"hex-", "hexa", "HEX", "base62\n", "\xff"
	};

	(void) state;
	for (int i = 0; i < sf_text_form_count(); i++)
	{
		const char *name = sf_text_form(i)->name;
		size_t		len = strlen(name);
		char	   *copy = malloc(len);

		memcpy(copy, name, len);
		check(sf_text_form_find(copy, len) == sf_text_form(i), "%s is not found", name);
		copy[len - 1] = '\0';
		check(sf_text_form_find(copy, len) == NULL, "%s with a NUL is found", name);
		free(copy);
	}
	for (int i = 0; i < lengthof(none); i++)
		check(sf_text_form_find(none[i], strlen(none[i])) == NULL, "\"%s\" is found", none[i]);
}

/*
 * Known values, computed apart from this code
 */

typedef struct Known
{
	const char *form;
	uint64_t	id;
	const char *text;
	const char *shortest;
} Known;

static const Known known[] = {
	{"base62", 0, "00000000000", "0"},
	{"base62", 1, "00000000001", "1"},
	{"base62", 9, "00000000009", "9"},
	{"base62", 10, "0000000000A", "A"},
	{"base62", 35, "0000000000Z", "Z"},
	{"base62", 36, "0000000000a", "a"},
	{"base62", 61, "0000000000z", "z"},
	{"base62", 62, "00000000010", "10"},
	{"base62", 3843, "000000000zz", "zz"},
	{"base62", UINT64_C(9007199254740991), "00fFgnDxSe7", "fFgnDxSe7"},
	{"base62", UINT64_C(9007199254740992), "00fFgnDxSe8", "fFgnDxSe8"},
	{"base62", UINT64_C(839299365868340223), "0zzzzzzzzzz", "zzzzzzzzzz"},
	{"base62", UINT64_C(839299365868340224), "10000000000", "10000000000"},
	{"base62", UINT64_C(1541815603606036480), "1ptWyK4WgZU", "1ptWyK4WgZU"},
	{"base62", MAX_ID, "AzL8n0Y58m7", "AzL8n0Y58m7"},

	{"base58", 0, "11111111111", "1"},
	{"base58", 1, "11111111112", "2"},
	{"base58", 57, "1111111111z", "z"},
	{"base58", 58, "11111111121", "21"},
	{"base58", 3363, "111111111zz", "zz"},
	{"base58", UINT64_C(9007199254740991), "12DLNrMSKug", "2DLNrMSKug"},
	{"base58", UINT64_C(9007199254740992), "12DLNrMSKuh", "2DLNrMSKuh"},
	{"base58", UINT64_C(430804206899405823), "1zzzzzzzzzz", "zzzzzzzzzz"},
	{"base58", UINT64_C(430804206899405824), "21111111111", "21111111111"},
	{"base58", UINT64_C(1541815603606036480), "4aaW4SzAyQK", "4aaW4SzAyQK"},
	{"base58", MAX_ID, "NQm6nKp8qFC", "NQm6nKp8qFC"},

	{"base36", 0, "0000000000000", "0"},
	{"base36", 1, "0000000000001", "1"},
	{"base36", 35, "000000000000z", "z"},
	{"base36", 36, "0000000000010", "10"},
	{"base36", 1295, "00000000000zz", "zz"},
	{"base36", UINT64_C(9007199254740991), "002gosa7pa2gv", "2gosa7pa2gv"},
	{"base36", UINT64_C(9007199254740992), "002gosa7pa2gw", "2gosa7pa2gw"},
	{"base36", UINT64_C(4738381338321616895), "0zzzzzzzzzzzz", "zzzzzzzzzzzz"},
	{"base36", UINT64_C(4738381338321616896), "1000000000000", "1000000000000"},
	{"base36", UINT64_C(1541815603606036480), "0bppc0m3ju134", "bppc0m3ju134"},
	{"base36", MAX_ID, "1y2p0ij32e8e7", "1y2p0ij32e8e7"},

	{"crockford", 0, "0000000000000", "0"},
	{"crockford", 1, "0000000000001", "1"},
	{"crockford", 31, "000000000000Z", "Z"},
	{"crockford", 32, "0000000000010", "10"},
	{"crockford", 1023, "00000000000ZZ", "ZZ"},
	{"crockford", UINT64_C(9007199254740991), "007ZZZZZZZZZZ", "7ZZZZZZZZZZ"},
	{"crockford", UINT64_C(9007199254740992), "0080000000000", "80000000000"},
	{"crockford", UINT64_C(1152921504606846975), "0ZZZZZZZZZZZZ", "ZZZZZZZZZZZZ"},
	{"crockford", UINT64_C(1152921504606846976), "1000000000000", "1000000000000"},
	{"crockford", UINT64_C(1541815603606036480), "1ASD13XH1F800", "1ASD13XH1F800"},
	{"crockford", MAX_ID, "7ZZZZZZZZZZZZ", "7ZZZZZZZZZZZZ"},

	{"hex", 0, "0000000000000000", "0"},
	{"hex", 1, "0000000000000001", "1"},
	{"hex", 15, "000000000000000f", "f"},
	{"hex", 16, "0000000000000010", "10"},
	{"hex", 255, "00000000000000ff", "ff"},
	{"hex", UINT64_C(9007199254740991), "001fffffffffffff", "1fffffffffffff"},
	{"hex", UINT64_C(9007199254740992), "0020000000000000", "20000000000000"},
	{"hex", UINT64_C(1152921504606846975), "0fffffffffffffff", "fffffffffffffff"},
	{"hex", UINT64_C(1152921504606846976), "1000000000000000", "1000000000000000"},
	{"hex", UINT64_C(1541815603606036480), "1565a11f6217a000", "1565a11f6217a000"},
	{"hex", MAX_ID, "7fffffffffffffff", "7fffffffffffffff"},
};

static void
test_known(void **state)
{
	(void) state;
	for (int i = 0; i < lengthof(known); i++)
	{
		check_pair(form_of(known[i].form, ""), known[i].id, known[i].text);
		check_pair(form_of(known[i].form, "-short"), known[i].id, known[i].shortest);
	}
}

/* Numbers of 2^63 and more, up to those that come round to small ones */
static void
test_too_large(void **state)
{
	static const struct
	{
		const char *form;
		const char *text;
	}			large[] = {
		{"base62", "AzL8n0Y58m8"},	/* 2^63 */
		{"base62", "AzL8n0Y58mz"},
		{"base62", "B0000000000"},
		{"base62", "LygHa16AHYF"},	/* 2^64 - 1 */
		{"base62", "LygHa16AHYG"},	/* 2^64 */
		{"base62", "LygHa16AHYH"},
		{"base62", "zzzzzzzzzzz"},
		{"base58", "NQm6nKp8qFD"},
		{"base58", "jpXCZedGfVQ"},
		{"base58", "jpXCZedGfVR"},
		{"base58", "jpXCZedGfVS"},
		{"base58", "zzzzzzzzzzz"},
		{"base36", "1y2p0ij32e8e8"},
		{"base36", "3w5e11264sgsf"},
		{"base36", "3w5e11264sgsg"},
		{"base36", "3w5e11264sgsh"},
		{"base36", "zzzzzzzzzzzzz"},
		{"crockford", "8000000000000"},
		{"crockford", "FZZZZZZZZZZZZ"},
		{"crockford", "G000000000000"},
		{"crockford", "G000000000001"},
		{"crockford", "ZZZZZZZZZZZZZ"},
		{"crockford", "8-0-0-0-0-0-0-0-0-0-0-0-0"},
		{"hex", "8000000000000000"},
		{"hex", "ffffffffffffffff"},
		{"hex", "FFFFFFFFFFFFFFFF"},
	};

	(void) state;
	for (int i = 0; i < lengthof(large); i++)
	{
		check_refused(form_of(large[i].form, ""), large[i].text, strlen(large[i].text), SF_TEXT_TOO_LARGE, 0);
		check_refused(form_of(large[i].form, "-short"), large[i].text, strlen(large[i].text), SF_TEXT_TOO_LARGE, 0);
	}
}

/*
 * Reading is strict
 */

/* The value of a byte by the rules as they are documented, or -1 */
static int
documented_value(const char *form, int byte)
{
	const char *digits = NULL;
	int			value = 0;

	if (strncmp(form, "crockford", 9) == 0)
	{
		if (byte >= 'a' && byte <= 'z')
			byte += 'A' - 'a';
		if (byte == 'O')
			byte = '0';
		if (byte == 'I' || byte == 'L')
			byte = '1';
		digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	}
	else if (strncmp(form, "hex", 3) == 0 || strncmp(form, "base36", 6) == 0)
	{
		if (byte >= 'A' && byte <= 'Z')
			byte += 'a' - 'A';
		digits = form[0] == 'h' ? "0123456789abcdef" : "0123456789abcdefghijklmnopqrstuvwxyz";
	}
	else if (strncmp(form, "base58", 6) == 0)
		digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
	else
		digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	for (; digits[value] != '\0'; value++)
	{
		if (byte == digits[value])
			return value;
	}
	return -1;
}

/* Each byte at each place, among digits that are otherwise zero */
static void
test_each_byte(void **state)
{
	(void) state;
	for (int i = 0; i < sf_text_form_count(); i++)
	{
		const SfTextForm *form = sf_text_form(i);

		for (int at = 0; at < form->width; at++)
		{
			uint128		weight = 1;

			for (int p = at + 1; p < form->width; p++)
				weight *= form->base;
			for (int byte = 0; byte <= 255; byte++)
			{
				int			value = documented_value(form->name, byte);
				uint128		id = value > 0 ? value * weight : 0;
				char		text[SF_TEXT_FORM_SIZE];
				const char *begin = form->shortest ? text + at : text;
				size_t		len = form->width - (begin - text);
				SfTextRead	read;

				memset(text, form->digits[0], form->width);
				text[at] = byte;
				read = read_bytes(form, begin, len);

				if (value < 0 && byte == '-' && form->is_crockford)
				{
					/* a hyphen in the middle leaves a digit too few */
					bool		middle = at > 0 && at + 1 < form->width && !form->shortest;

					check(read.status == (middle ? SF_TEXT_LENGTH : SF_TEXT_HYPHEN),
						  "%s: hyphen at %d: status %d", form->name, at, read.status);
				}
				else if (value < 0)
					check(read.status == SF_TEXT_NO_DIGIT && read.at == (size_t) (text + at - begin),
						  "%s: byte %d at %d: status %d at %zu", form->name, byte, at, read.status, read.at);
				else if (value == 0 && form->shortest && len > 1)
					check(read.status == SF_TEXT_LEADING_ZERO, "%s: byte %d at %d: status %d",
						  form->name, byte, at, read.status);
				else if (id > MAX_ID)
					check(read.status == SF_TEXT_TOO_LARGE, "%s: byte %d at %d: status %d",
						  form->name, byte, at, read.status);
				else
					check(read.status == SF_TEXT_OK && read.id == id, "%s: byte %d at %d: status %d, %" PRIu64,
						  form->name, byte, at, read.status, read.id);
			}
		}
	}
}

/* Each number of digits, of zeros and of ones */
static void
test_lengths(void **state)
{
	(void) state;
	for (int i = 0; i < sf_text_form_count(); i++)
	{
		const SfTextForm *form = sf_text_form(i);

		for (int len = 0; len <= 100; len++)
			for (int d = 0; d <= 1; d++)
			{
				char		text[100];
				SfTextStatus expected = SF_TEXT_OK;
				SfTextRead	read;

				memset(text, form->digits[d], len);
				if (len == 0 || (!form->shortest && len != form->width))
					expected = SF_TEXT_LENGTH;
				else if (form->shortest && d == 0 && len > 1)
					expected = SF_TEXT_LEADING_ZERO;
				else if (len > form->width)
					expected = SF_TEXT_TOO_LARGE;
				check_refused(form, text, len, expected, 0);
				read = read_bytes(form, text, len);
				check(read.digits == (len > form->width ? form->width + 1 : len),
					  "%s: %d of %d digits", form->name, read.digits, len);
			}
	}
}

/* However long a text is, no more of it is read than can be right. */
static void
test_very_long(void **state)
{
	enum
	{
		size = 1 << 20
	};
	char	   *text = malloc(size);

	(void) state;
	for (const char *fill = "01zZ"; *fill != '\0'; fill++)
		for (int i = 0; i < sf_text_form_count(); i++)
		{
			const SfTextForm *form = sf_text_form(i);
			SfTextRead	read;

			memset(text, *fill, size);
			read = sf_text_form_read(form, text, size);
			check(read.status != SF_TEXT_OK, "%s: a megabyte was accepted", form->name);
			check(read.at <= (size_t) form->width, "%s: read up to %zu", form->name, read.at);
		}
	free(text);
}

/* Two letters in different cases, at each two places */
static void
test_mixed_case(void **state)
{
	(void) state;
	for (int i = 0; i < sf_text_form_count(); i++)
	{
		const SfTextForm *form = sf_text_form(i);
		bool		one_case = strncmp(form->name, "hex", 3) == 0 || strncmp(form->name, "base36", 6) == 0;

		for (int a = 0; a < form->width; a++)
			for (int b = a + 1; b < form->width; b++)
				for (int first_lower = 0; first_lower <= 1; first_lower++)
				{
					char		text[SF_TEXT_FORM_SIZE];
					SfTextRead	read;

					memset(text, form->digits[1], form->width);
					text[a] = first_lower ? 'a' : 'A';
					text[b] = first_lower ? 'B' : 'b';
					read = read_bytes(form, text, form->width);
					if (one_case)
						check(read.status == SF_TEXT_MIXED_CASE && read.at == (size_t) b,
							  "%s: %.*s: status %d at %zu", form->name, form->width, text, read.status, read.at);
					else
						check(read.status == SF_TEXT_OK || read.status == SF_TEXT_TOO_LARGE,
							  "%s: %.*s: status %d", form->name, form->width, text, read.status);

					/* both in the same case are always fine */
					text[b] ^= 'a' ^ 'A';
					read = read_bytes(form, text, form->width);
					check(read.status == SF_TEXT_OK || read.status == SF_TEXT_TOO_LARGE,
						  "%s: %.*s: status %d", form->name, form->width, text, read.status);
				}
	}

	/* Where case is no value, capital and small letters are one number. */
	assert_int_equal(read_text(form_of("hex", ""), "00000000DEADBEEF").id, 0xdeadbeef);
	assert_int_equal(read_text(form_of("hex", ""), "00000000deadbeef").id, 0xdeadbeef);
	assert_int_equal(read_text(form_of("base36", "-short"), "ZZ").id, 1295);
	assert_int_equal(read_text(form_of("crockford", "-short"), "zZ").id, 1023);
	/* Where it is, they are two. */
	assert_int_equal(read_text(form_of("base62", "-short"), "zZ").id, 61 * 62 + 35);
	assert_int_equal(read_text(form_of("base58", "-short"), "Zz").id, 32 * 58 + 57);
}

static void
test_crockford(void **state)
{
	const SfTextForm *fixed = form_of("crockford", "");
	const SfTextForm *shortest = form_of("crockford", "-short");
	static const char digits[] = "1ASD13XH1F800";

	(void) state;

	/* What may be taken for another letter */
	assert_int_equal(read_text(fixed, "IasdL3xhlf8oO").id, 1541815603606036480);
	assert_int_equal(read_text(shortest, "iL").id, 33);
	assert_int_equal(read_text(shortest, "o").id, 0);
	check_refused(shortest, "o1", 2, SF_TEXT_LEADING_ZERO, 0);
	check_refused(shortest, "1u", 2, SF_TEXT_NO_DIGIT, 1);
	check_refused(shortest, "1U", 2, SF_TEXT_NO_DIGIT, 1);
	/* no check symbol */
	check_refused(shortest, "1*", 2, SF_TEXT_NO_DIGIT, 1);

	/* Hyphens between any digits */
	for (int gaps = 0; gaps < 1 << 12; gaps++)
	{
		char		text[2 * 13];
		size_t		len = 0;

		for (int i = 0; i < 13; i++)
		{
			text[len++] = digits[i];
			if (i < 12 && (gaps >> i & 1))
				text[len++] = '-';
		}
		assert_int_equal(read_bytes(fixed, text, len).status, SF_TEXT_OK);
		assert_int_equal(read_bytes(fixed, text, len).id, 1541815603606036480);
		assert_int_equal(read_bytes(shortest, text, len).id, 1541815603606036480);
		assert_int_equal(read_bytes(fixed, text, len).digits, 13);
	}

	/* and nowhere else */
	check_refused(fixed, "-1ASD13XH1F800", 14, SF_TEXT_HYPHEN, 0);
	check_refused(fixed, "1ASD13XH1F800-", 14, SF_TEXT_HYPHEN, 13);
	check_refused(fixed, "1ASD--13XH1F800", 15, SF_TEXT_HYPHEN, 5);
	check_refused(shortest, "-", 1, SF_TEXT_HYPHEN, 0);
	check_refused(shortest, "--", 2, SF_TEXT_HYPHEN, 0);
	check_refused(shortest, "1-", 2, SF_TEXT_HYPHEN, 1);
	check_refused(shortest, "-1", 2, SF_TEXT_HYPHEN, 0);
	check_refused(shortest, "0-1", 3, SF_TEXT_LEADING_ZERO, 0);
	check_refused(fixed, "1ASD-13XH-1F80", 14, SF_TEXT_LENGTH, 0);
	check_refused(fixed, "1ASD-13XH-1F800-0", 17, SF_TEXT_LENGTH, 0);
	for (int i = 0; i < sf_text_form_count(); i++)
	{
		if (!sf_text_form(i)->is_crockford)
			check_refused(sf_text_form(i), "1-1", 3, SF_TEXT_NO_DIGIT, 1);
	}
}

/*
 * Random cases
 */

/* IDs of all lengths, often at a border */
static uint64_t
random_id(void)
{
	return unit_random_value(1 + unit_random_below(63));
}

static void
test_random_ids(void **state)
{
	(void) state;
	for (int i = 0; i < sf_text_form_count(); i++)
	{
		const SfTextForm *form = sf_text_form(i);

		for (int n = 0; n < RANDOM_IDS; n++)
		{
			uint64_t	ids[2] = {random_id(), random_id()};
			char		texts[2][SF_TEXT_FORM_SIZE];

			if (unit_random_below(4) == 0 && ids[0] < MAX_ID)
				ids[1] = ids[0] + 1;
			for (int k = 0; k < 2; k++)
			{
				write_text(form, ids[k], texts[k]);
				check_pair(form, ids[k], texts[k]);
			}
			if (!form->shortest)
			{
				int			order = strcmp(texts[0], texts[1]);

				check((order < 0) == (ids[0] < ids[1]) && (order > 0) == (ids[0] > ids[1]),
					  "%s: %s and %s do not sort", form->name, texts[0], texts[1]);
			}
		}
	}
}

/* What would be written, of a text that was accepted */
static void
canonical(const SfTextForm *form, const char *text, char *result)
{
	for (; *text != '\0'; text++)
	{
		if (*text == '-' && form->is_crockford)
			continue;
		*result++ = form->digits[documented_value(form->name, (unsigned char) *text)];
	}
	*result = '\0';
}

/*
 * Texts of IDs with a few bytes changed.  One that is accepted is, but for
 * other ways to write a digit, the text that is written for what was read.
 */
static void
test_random_texts(void **state)
{
	int			accepted = 0;

	(void) state;
	for (int n = 0; n < RANDOM_TEXTS; n++)
	{
		const SfTextForm *form = sf_text_form(unit_random_below(sf_text_form_count()));
		char		text[SF_TEXT_FORM_SIZE + 4];
		SfTextRead	read;

		write_text(form, random_id(), text);
		for (int changes = unit_random_below(4); changes > 0; changes--)
		{
			size_t		length = strlen(text);
			size_t		at = unit_random_below(length + 1);
			char		byte = "0O1Il-uUaAzZ"[unit_random_below(12)];

			if (unit_random_below(2) == 0)
				byte = 1 + unit_random_below(255);

			if (at < length && unit_random_below(3) != 0)
				text[at] = unit_random_below(2) ? byte : text[at] ^ ('a' ^ 'A');
			else if (at < length && length > 1 && unit_random_below(2) == 0)
				memmove(text + at, text + at + 1, length - at);
			else
			{
				memmove(text + at + 1, text + at, length - at + 1);
				text[at] = byte;
			}
		}

		read = read_text(form, text);
		if (read.status == SF_TEXT_OK)
		{
			char		expected[sizeof(text)];
			char		written[SF_TEXT_FORM_SIZE];

			canonical(form, text, expected);
			check(read.id <= MAX_ID, "%s: \"%s\" is negative", form->name, text);
			write_text(form, read.id, written);
			check(strcmp(written, expected) == 0, "%s: \"%s\" is written \"%s\"", form->name, text, written);
			accepted++;
		}
	}
	assert_true(accepted >= RANDOM_TEXTS / 10 && accepted <= RANDOM_TEXTS * 9 / 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_each_byte),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_very_long),
		cmocka_unit_test(test_mixed_case),
		cmocka_unit_test(test_crockford),
		cmocka_unit_test_setup(test_random_ids, unit_seed),
		cmocka_unit_test_setup(test_random_texts, unit_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
