#include "tui/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define REPLACEMENT 0xfffd

size_t text_decode(const char *s, uint32_t *ch)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t len = u[0] < 0x80 ? 1 : u[0] >= 0xc2 && u[0] < 0xe0 ? 2 : (u[0] & 0xf0) == 0xe0 ? 3 : 4;
	uint32_t c;

	*ch = REPLACEMENT;
	if (u[0] < 0x80) {
		*ch = u[0];
		return 1;
	}
	if (u[0] < 0xc2 || u[0] > 0xf4)
		return 1;
	c = u[0] & (0xff >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return i;
		c = c << 6 | (u[i] & 0x3f);
	}
	/* Overlong forms, surrogates and what lies beyond Unicode are malformed (RFC 3629 section 3). */
	if ((len == 3 && c < 0x800) || (len == 4 && (c < 0x10000 || c > 0x10ffff)) ||
	    (c >= 0xd800 && c < 0xe000))
		return len;
	*ch = c;
	return len;
}

size_t text_encode(char out[4], uint32_t ch)
{
	if (ch < 0x80) {
		out[0] = (char)ch;
		return 1;
	}
	if (ch < 0x800) {
		out[0] = (char)(0xc0 | ch >> 6);
		out[1] = (char)(0x80 | (ch & 0x3f));
		return 2;
	}
	if (ch < 0x10000) {
		out[0] = (char)(0xe0 | ch >> 12);
		out[1] = (char)(0x80 | (ch >> 6 & 0x3f));
		out[2] = (char)(0x80 | (ch & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | ch >> 18);
	out[1] = (char)(0x80 | (ch >> 12 & 0x3f));
	out[2] = (char)(0x80 | (ch >> 6 & 0x3f));
	out[3] = (char)(0x80 | (ch & 0x3f));
	return 4;
}

/* What is drawn, and how wide. Everything else is not. */
static const struct {
	uint32_t first, last;
	int width;
} drawable[] = {
	{0x20, 0x7e, 1},     {0xa1, 0xac, 1},	  {0xae, 0x24f, 1},    {0x370, 0x377, 1},
	{0x37a, 0x37f, 1},   {0x384, 0x482, 1},	  {0x48a, 0x52f, 1},   {0x2010, 0x2015, 1},
	{0x2018, 0x2027, 1}, {0x2039, 0x203a, 1}, {0x2016, 0x2016, 1}, {0x2190, 0x2195, 1},
	{0x21d2, 0x21d2, 1}, {0x2500, 0x259f, 1}, {0x25b4, 0x25be, 1}, {0x25cb, 0x25d0, 1},
	{0x2713, 0x2717, 1}, {0x3041, 0x3096, 2}, {0x30a1, 0x30fa, 2}, {0x4e00, 0x9fff, 2},
	{0xac00, 0xd7a3, 2}, {0xff01, 0xff60, 2}, {0xfffd, 0xfffd, 1},
};

int text_width(uint32_t ch)
{
	for (size_t i = 0; i < sizeof(drawable) / sizeof(drawable[0]); i++)
		if (ch >= drawable[i].first && ch <= drawable[i].last)
			return drawable[i].width;
	return 0;
}

void text_clean(char *dst, size_t size, const char *src)
{
	size_t at = 0;
	uint32_t ch;

	while (*src) {
		char piece[8];
		size_t used = text_decode(src, &ch), len;

		if (ch < 0x20 || ch == 0x7f || (ch >= 0x80 && ch < 0xa0))
			len = (size_t)snprintf(piece, sizeof(piece), "\\x%02x", (unsigned)ch);
		else if (!text_width(ch) || ch == REPLACEMENT)
			len = text_encode(piece, '?');
		else
			len = text_encode(piece, ch);
		if (at + len >= size)
			break;
		memcpy(dst + at, piece, len);
		at += len;
		src += used;
	}
	if (size)
		dst[at] = '\0';
}

size_t text_cells(const char *s)
{
	size_t cells = 0;
	uint32_t ch;

	while (*s) {
		s += text_decode(s, &ch);
		cells += (size_t)text_width(ch);
	}
	return cells;
}

void text_copy(char *dst, size_t size, const char *src)
{
	size_t at = 0;
	uint32_t ch;

	while (*src) {
		size_t used = text_decode(src, &ch);

		if (at + used >= size)
			break;
		memcpy(dst + at, src, used);
		at += used;
		src += used;
	}
	if (size)
		dst[at] = '\0';
}

static bool base64_char(int c)
{
	return isalnum(c) || c == '+' || c == '/' || c == '=';
}

static bool token_char(int c)
{
	return isalnum(c) || (c && strchr(".:[]%/+=_-", c)) || c >= 0x80;
}

/* A token with brackets, prefix length, port or scope cut off, as a bare address. */
static bool is_address(const char *token, size_t len)
{
	unsigned char raw[16];
	char bare[64];
	char *end;

	if (len >= sizeof(bare))
		return false;
	memcpy(bare, token, len);
	bare[len] = '\0';
	while (len && strchr(".:,", bare[len - 1]) && !(len > 1 && bare[len - 2] == ':'))
		bare[--len] = '\0';
	if (bare[0] == '[') {
		memmove(bare, bare + 1, len);
		if ((end = strchr(bare, ']')) != NULL)
			*end = '\0';
	} else if ((end = strchr(bare, ':')) != NULL && end == strrchr(bare, ':')) {
		*end = '\0';
	}
	if ((end = strpbrk(bare, "/%")) != NULL)
		*end = '\0';
	return inet_pton(AF_INET, bare, raw) == 1 || inet_pton(AF_INET6, bare, raw) == 1;
}

/* "gw.example.net", "gw.example.net:51820": dots between labels and a last label that starts with a letter.
 */
static bool is_host_name(const char *token, size_t len)
{
	const char *dot = NULL;
	size_t end = len;

	for (size_t i = 0; i < len; i++) {
		if (token[i] == ':') {
			end = i;
			break;
		}
		if (!isalnum((unsigned char)token[i]) && token[i] != '.' && token[i] != '-' &&
		    token[i] != '_')
			return false;
	}
	while (end && token[end - 1] == '.')
		end--;
	for (size_t i = 1; i + 1 < end; i++)
		if (token[i] == '.')
			dot = token + i;
	return dot && isalpha((unsigned char)dot[1]);
}

static bool is_key(const char *token, size_t len)
{
	size_t n = 0;

	while (n < len && base64_char((unsigned char)token[n]))
		n++;
	if (n == len)
		return len >= 43;
	/* The start of a key, cut by an ellipsis. */
	return n >= 4 && (unsigned char)token[n] == 0xe2;
}

void text_scrub(char *dst, size_t size, const char *src)
{
	static const char hidden[] = "(hidden)";
	size_t at = 0;

	while (*src) {
		const char *piece = src;
		size_t len = 0, used;

		while (src[len] && token_char((unsigned char)src[len]))
			len++;
		used = len;
		if (!len)
			used = len = 1;
		else if (is_address(src, len) || is_host_name(src, len) || is_key(src, len)) {
			piece = hidden;
			len = sizeof(hidden) - 1;
		}
		if (at + len >= size)
			break;
		memcpy(dst + at, piece, len);
		at += len;
		src += used;
	}
	if (size)
		dst[at] = '\0';
}

bool text_contains(const char *hay, const char *needle)
{
	return strcasestr(hay, needle) != NULL;
}

void text_base64(char *out, const void *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = bytes;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16 | (i + 1 < len ? in[i + 1] : 0u) << 8 |
			     (i + 2 < len ? in[i + 2] : 0u);

		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = i + 1 < len ? digits[v >> 6 & 63] : '=';
		*out++ = i + 2 < len ? digits[v & 63] : '=';
	}
	*out = '\0';
}
