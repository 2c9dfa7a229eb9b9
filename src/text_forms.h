/*-------------------------------------------------------------------------
 *
 * text_forms.h
 *	  IDs as short texts: in base 62, 58, 36, 32 and 16.
 *
 * Pure, like layout.h, and unit-tested by itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_TEXT_FORMS_H
#define SF_TEXT_FORMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest text that is written, with its final NUL. */
#define SF_TEXT_FORM_SIZE	17

/* What the case of a letter means to a reader. */
typedef enum SfLetterCase
{
	SF_CASE_IS_VALUE,			/* "a" and "A" are two digits */
	SF_CASE_IS_ONE,				/* either, but all letters in the same */
	SF_CASE_IS_FREE				/* any */
} SfLetterCase;

typedef struct SfTextForm
{
	const char *name;
	const char *digits;			/* in byte order, so that texts sort like IDs */
	const char *digits_in_words;	/* for messages */
	int			base;			/* how many digits there are */
	int			width;			/* digits of the largest ID */
	bool		shortest;		/* without leading zeros, so not of one width */
	SfLetterCase letter_case;
	bool		is_crockford;	/* its other digits, and hyphens */
} SfTextForm;

typedef enum SfTextStatus
{
	SF_TEXT_OK,
	SF_TEXT_NO_DIGIT,			/* the character is no digit of the form */
	SF_TEXT_HYPHEN,				/* the hyphen is not between two digits */
	SF_TEXT_MIXED_CASE,			/* the letter is in another case than before */
	SF_TEXT_LENGTH,				/* empty, or not of the form's width */
	SF_TEXT_LEADING_ZERO,		/* in a form without them */
	SF_TEXT_TOO_LARGE			/* more than a bigint holds */
} SfTextStatus;

/* A text as it was read. */
typedef struct SfTextRead
{
	SfTextStatus status;
	uint64_t	id;				/* where OK */
	size_t		at;				/* the byte that is wrong, where it is one */
	int			digits;			/* how many were read: at most width + 1 */
} SfTextRead;

extern int	sf_text_form_count(void);
extern const SfTextForm *sf_text_form(int i);
extern const SfTextForm *sf_text_form_find(const char *name, size_t len);

extern void sf_text_form_write(const SfTextForm *form, uint64_t id,
							   char buf[SF_TEXT_FORM_SIZE]);
extern SfTextRead sf_text_form_read(const SfTextForm *form, const char *text,
									size_t len);

#endif							/* SF_TEXT_FORMS_H */
