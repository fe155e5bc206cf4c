#include "tui/input.h"

#include <stdio.h>
#include <string.h>

#include "tui/keys.h"
#include "tui/text.h"

void input_add(struct input *in, const char *bytes, uint32_t code)
{
	size_t len = bytes ? strlen(bytes) : 0;

	if (len < 2 || len >= sizeof(in->sequences[0].bytes) || bytes[0] != K_ESCAPE ||
	    in->count == INPUT_SEQUENCES)
		return;
	memcpy(in->sequences[in->count].bytes, bytes, len + 1);
	in->sequences[in->count++].code = code;
}

void input_init(struct input *in)
{
	static const struct {
		const char *bytes;
		uint32_t code;
	} common[] = {
		{"\033[A", K_UP},	  {"\033[B", K_DOWN},	 {"\033[C", K_RIGHT},
		{"\033[D", K_LEFT},	  {"\033OA", K_UP},	 {"\033OB", K_DOWN},
		{"\033OC", K_RIGHT},	  {"\033OD", K_LEFT},	 {"\033[5~", K_PAGE_UP},
		{"\033[6~", K_PAGE_DOWN}, {"\033[H", K_HOME},	 {"\033[F", K_END},
		{"\033OH", K_HOME},	  {"\033OF", K_END},	 {"\033[1~", K_HOME},
		{"\033[4~", K_END},	  {"\033[7~", K_HOME},	 {"\033[8~", K_END},
		{"\033[Z", K_BACK_TAB},	  {"\033[3~", K_DELETE}, {"\033OP", K_F(1)},
		{"\033OQ", K_F(2)},	  {"\033OR", K_F(3)},	 {"\033OS", K_F(4)},
		{"\033[11~", K_F(1)},	  {"\033[12~", K_F(2)},	 {"\033[13~", K_F(3)},
		{"\033[14~", K_F(4)},	  {"\033[[A", K_F(1)},	 {"\033[[B", K_F(2)},
		{"\033[[C", K_F(3)},	  {"\033[[D", K_F(4)},	 {"\033[17~", K_F(6)},
		{"\033[20~", K_F(9)},	  {"\033[21~", K_F(10)},
	};

	*in = (struct input){0};
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		input_add(in, common[i].bytes, common[i].code);
}

void input_feed(struct input *in, const void *bytes, size_t len)
{
	size_t room = sizeof(in->bytes) - 1 - in->len;

	if (len > room)
		len = room;
	memcpy(in->bytes + in->len, bytes, len);
	in->len += len;
	in->bytes[in->len] = '\0';
}

static void drop(struct input *in, size_t len)
{
	in->len -= len;
	memmove(in->bytes, in->bytes + len, in->len + 1);
}

/* Length of an escape sequence that no table has: ESC [ ... final, ESC O x. 0: not complete yet. */
static size_t unknown_length(const struct input *in)
{
	if (in->bytes[1] == 'O')
		return in->len >= 3 ? 3 : 0;
	for (size_t i = 2; i < in->len; i++)
		if (in->bytes[i] >= 0x40 && in->bytes[i] <= 0x7e)
			return i + 1;
	return 0;
}

/* ESC [ < what ; column ; row, then M for down and m for up (xterm's SGR coding). K_NONE: not worth a key. */
static uint32_t mouse_code(const struct input *in, size_t len)
{
	unsigned button, col, row;
	char end;

	if (in->bytes[2] != '<' || len >= 32 ||
	    sscanf((const char *)in->bytes + 3, "%4u;%4u;%4u%c", &button, &col, &row, &end) != 4 ||
	    end != 'M' || !col || !row || col > 0xfff || row > 0xfff)
		return K_NONE;
	if (button == 0)
		return MOUSE_CODE(MOUSE_CLICK, row - 1, col - 1);
	if (button == 64 || button == 65)
		return MOUSE_CODE(button == 64 ? MOUSE_WHEEL_UP : MOUSE_WHEEL_DOWN, row - 1, col - 1);
	return K_NONE;
}

/* What starts with ESC. 0 with *wait: more may come; 0 without: a sequence was swallowed. */
static uint32_t next_escape(struct input *in, bool late, bool *wait)
{
	bool partial = in->len == 1;

	*wait = false;
	for (size_t i = 0; i < in->count; i++) {
		const char *s = in->sequences[i].bytes;
		size_t len = strlen(s);

		if (in->len >= len && memcmp(in->bytes, s, len) == 0) {
			drop(in, len);
			return in->sequences[i].code;
		}
		partial |= in->len < len && memcmp(in->bytes, s, in->len) == 0;
	}
	if (in->len >= 2 && (in->bytes[1] == '[' || in->bytes[1] == 'O')) {
		size_t len = unknown_length(in);

		if (len) {
			uint32_t code = mouse_code(in, len);

			drop(in, len);
			return code;
		}
		partial = true;
	}
	if (partial && !late) {
		*wait = true;
		return 0;
	}
	drop(in, 1);
	return K_ESCAPE;
}

static size_t utf8_length(unsigned char c)
{
	return c < 0xc2 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 1;
}

uint32_t input_next(struct input *in, bool late)
{
	while (in->len) {
		uint32_t code;
		size_t used;

		if (in->bytes[0] == K_ESCAPE) {
			bool wait;

			code = next_escape(in, late, &wait);
			if (code || wait)
				return code;
			continue;
		}
		if (in->len < utf8_length(in->bytes[0]) && !late)
			return 0;
		used = text_decode((const char *)in->bytes, &code);
		drop(in, used <= in->len ? used : in->len);
		if (code == 127)
			return K_BACKSPACE;
		if (code && code != 0xfffd)
			return code;
	}
	return 0;
}
