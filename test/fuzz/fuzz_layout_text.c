/*-------------------------------------------------------------------------
 *
 * fuzz_layout_text.c
 *	  Fuzz target: the text form of a layout.
 *
 * The input is the text.  One that is accepted must be a usable layout, whose
 * canonical text is read as the same layout and written as the same text.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = strndup((const char *) data, size);
	SfLayout	layout;
	SfTextError error;

	memset(&error, 'x', sizeof(error));
	if (sf_layout_parse(text, &layout, &error))
	{
		char	   *canonical = malloc(SF_LAYOUT_TEXT_SIZE);
		char		again_text[SF_LAYOUT_TEXT_SIZE];
		SfLayout	again;

		fuzz_require_consistent(&layout);
		sf_layout_format(&layout, canonical);
		require(memchr(canonical, '\0', SF_LAYOUT_TEXT_SIZE) != NULL, "a canonical text has no end");
		require(sf_layout_parse(canonical, &again, &error), "\"%s\": %s", canonical, error.message);
		require(sf_layout_equal(&layout, &again), "\"%s\" is another layout", canonical);
		require(layout.total_bits == again.total_bits && layout.node_bits == again.node_bits, "\"%s\": sums", canonical);
		sf_layout_format(&again, again_text);
		require(strcmp(canonical, again_text) == 0, "\"%s\" becomes \"%s\"", canonical, again_text);
		free(canonical);
	}
	else
		fuzz_require_sentence(&error);

	free(text);
	return 0;
}
