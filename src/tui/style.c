#include "tui/style.h"

#include <ctype.h>
#include <stddef.h>

char style_letter(uint8_t style)
{
	char c = ".owbidah"[style & 7];

	if (style & STYLE_SELECT)
		return c == '.' ? '#' : (char)toupper(c);
	return c;
}

/*
 * Middle tones: legible on dark and on light backgrounds. Selection is reverse video alone, for the same
 * reason.
 */
static const struct {
	struct style_look mono;
	int colour16, colour256;
	bool bold; /* with colours */
} looks[STYLE_MEANINGS] = {
	[STYLE_PLAIN] = {{false, false, false, -1}, -1, -1, false},
	[STYLE_OK] = {{false, false, false, -1}, 2, 35, false},
	[STYLE_WARN] = {{false, true, false, -1}, 3, 172, false},
	[STYLE_BAD] = {{true, false, true, -1}, 1, 196, true},
	[STYLE_INFO] = {{false, false, false, -1}, 6, 32, false},
	[STYLE_DIM] = {{false, false, false, -1}, -1, 244, false},
	[STYLE_ACCENT] = {{true, false, false, -1}, -1, -1, true},
	[STYLE_HEAD] = {{true, false, false, -1}, 6, 32, true},
};

struct style_look style_look(uint8_t style, enum style_palette palette)
{
	unsigned meaning = style & 7;
	struct style_look look = looks[meaning].mono;

	if (palette != PALETTE_MONO) {
		look = (struct style_look){.bold = looks[meaning].bold};
		look.colour = palette == PALETTE_256 ? looks[meaning].colour256 : looks[meaning].colour16;
	}
	if (style & STYLE_SELECT) {
		look.reverse = true;
		look.colour = -1;
	}
	return look;
}

static const struct {
	uint32_t glyph;
	char ascii;
} alphabet[] = {
	{0x2717, '!'},		      /* ✗ STUCK */
	{0x25cb, '?'},		      /* ○ WAIT */
	{0x2016, '='},		      /* ‖ DRAIN */
	{0x25d0, 'o'},		      /* ◐ RELAY */
	{0x25cf, '*'},		      /* ● DIRECT */
	{0x00b7, '.'},		      /* · IDLE, empty part of a bar */
	{0x2013, '-'},		      /* – DOWN, no value */
	{0x203a, '>'},		      /* › selected */
	{0x25be, 'v'}, {0x25b4, '^'}, /* ▾ ▴ sort order */
	{0x2500, '-'}, {0x2502, '|'}, {0x252c, '+'}, {0x2534, '+'}, {0x2524, '|'},
	{0x251c, '|'}, {0x2026, '~'},						   /* … cut */
	{0x2190, '<'}, {0x2191, '^'}, {0x2192, '>'}, {0x2193, 'v'}, {0x21d2, '>'}, /* ⇒ so */
	{0x2713, '+'},								   /* ✓ */
	{0x2588, '#'}, {0x2581, '_'}, {0x2582, '.'}, {0x2583, ':'}, {0x2584, '-'},
	{0x2585, '='}, {0x2586, '+'}, {0x2587, '*'},
};

const uint32_t style_glyphs[] = {
	0x2717, 0x25cb, 0x2016, 0x25d0, 0x25cf, 0xb7,	0x2013, 0x203a, 0x25be, 0x25b4, 0x2500,
	0x2502, 0x252c, 0x2534, 0x2524, 0x251c, 0x2026, 0x2190, 0x2191, 0x2192, 0x2193, 0x21d2,
	0x2713, 0x2588, 0x2581, 0x2582, 0x2583, 0x2584, 0x2585, 0x2586, 0x2587, 0,
};

char style_ascii(uint32_t ch)
{
	for (size_t i = 0; i < sizeof(alphabet) / sizeof(alphabet[0]); i++)
		if (alphabet[i].glyph == ch)
			return alphabet[i].ascii;
	return 0;
}

uint32_t style_spark(unsigned level)
{
	return 0x2581 + (level < SPARK_LEVELS ? level : SPARK_LEVELS - 1);
}
