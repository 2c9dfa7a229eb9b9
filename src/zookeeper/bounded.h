/*-------------------------------------------------------------------------
 *
 * bounded.h
 *	  A text that is put together in a buffer of fixed size; what does not fit
 *	  is left out at the end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SF_BOUNDED_H
#define SF_BOUNDED_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

typedef struct SfBounded
{
	char	   *buf;
	size_t		size;
	size_t		used;
} SfBounded;

static inline void
__attribute__((format(printf, 2, 3)))
sf_bounded_add(SfBounded *text, const char *format,...)
{
	size_t		room = text->size - text->used;
	va_list		args;
	int			n;

	va_start(args, format);
	n = vsnprintf(text->buf + text->used, room, format, args);
	va_end(args);
	text->used += n < 0 ? 0 : (size_t) n < room ? (size_t) n : room - 1;
}

#endif							/* SF_BOUNDED_H */
