/* Colour by meaning, and glyphs in two alphabets of the same cell count. Words carry state; these repeat it.
 */
#ifndef WEIR_TUI_STYLE_H
#define WEIR_TUI_STYLE_H

#include <stdbool.h>
#include <stdint.h>

enum style {
	STYLE_PLAIN,
	STYLE_OK,
	STYLE_WARN,
	STYLE_BAD,
	STYLE_INFO,
	STYLE_DIM,
	STYLE_ACCENT,
	STYLE_HEAD,
	STYLE_MEANINGS,
	STYLE_SELECT = 0x10, /* ored in: the selected row */
};

/* One letter for each style, for golden screens: '.', "owbidah"; upper case (and '#') when selected. */
char style_letter(uint8_t style);

/* What a terminal does for a style. colour: index for the 16 or the 256 colour palette, -1: the default. */
struct style_look {
	bool bold, underline, reverse;
	int colour;
};
enum style_palette { PALETTE_MONO, PALETTE_16, PALETTE_256 };
struct style_look style_look(uint8_t style, enum style_palette palette);

/* The ASCII form of a glyph that we draw; 0 if it has none of its own. One cell each, always. */
char style_ascii(uint32_t ch);

/* Glyphs of ours beyond ASCII, ended by 0: the program checks that each is one cell wide here. */
extern const uint32_t style_glyphs[];

#define SPARK_LEVELS 8
uint32_t style_spark(unsigned level); /* 0..7 */

#endif
