#include "control/json_writer.h"

#include <string.h>

#include "base/clock.h"

static void put(struct writer *w, const char *text, size_t len)
{
	strbuf_append(w->to, text, len);
}

static void before_value(struct writer *w)
{
	if (w->comma)
		put(w, ",", 1);
	w->comma = true;
}

void writer_open(struct writer *w, char bracket)
{
	before_value(w);
	put(w, &bracket, 1);
	w->comma = false;
}

void writer_close(struct writer *w, char bracket)
{
	put(w, &bracket, 1);
	w->comma = true;
}

void writer_name(struct writer *w, const char *name)
{
	before_value(w);
	put(w, "\"", 1);
	put(w, name, strlen(name));
	put(w, "\":", 2);
	w->comma = false;
}

/* Length of the well-formed UTF-8 sequence at s (RFC 3629), 0 if there is none. */
static size_t utf8_len(const unsigned char *s)
{
	static const struct {
		unsigned char first, last, low, high; /* of the lead byte; of the byte after it */
		unsigned char len;
	} forms[] = {
		{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		if (*s < forms[i].first || *s > forms[i].last)
			continue;
		if (s[1] < forms[i].low || s[1] > forms[i].high)
			return 0;
		for (size_t k = 2; k < forms[i].len; k++)
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].len;
	}
	return 0;
}

/* Writes one byte, or one sequence, that cannot stand in a string as it is; returns how many bytes it was. */
static size_t put_special(struct writer *w, const unsigned char *s)
{
	static const char hex[] = "0123456789abcdef";
	size_t n;

	if (*s == '"' || *s == '\\') {
		char escape[2] = {'\\', (char)*s};

		put(w, escape, 2);
		return 1;
	}
	if (*s < 0x20 || *s == 0x7f) {
		char escape[6] = {'\\', 'u', '0', '0', hex[*s >> 4], hex[*s & 15]};

		put(w, escape, 6);
		return 1;
	}
	n = utf8_len(s);
	if (n)
		put(w, (const char *)s, n);
	else
		put(w, "\xef\xbf\xbd", 3);
	return n ? n : 1;
}

static void put_string(struct writer *w, const char *text)
{
	const unsigned char *s = (const unsigned char *)text, *plain = s;

	put(w, "\"", 1);
	while (*s) {
		if (*s >= 0x20 && *s < 0x7f && *s != '"' && *s != '\\') {
			s++;
			continue;
		}
		put(w, (const char *)plain, (size_t)(s - plain));
		s += put_special(w, s);
		plain = s;
	}
	put(w, (const char *)plain, (size_t)(s - plain));
	put(w, "\"", 1);
}

void writer_text(struct writer *w, const char *text)
{
	before_value(w);
	put_string(w, text);
}

static void put_count(struct writer *w, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	put(w, digits + at, sizeof(digits) - at);
}

void writer_count(struct writer *w, uint64_t value)
{
	before_value(w);
	put_count(w, value);
}

void writer_flag(struct writer *w, bool value)
{
	before_value(w);
	put(w, value ? "true" : "false", value ? 4 : 5);
}

/* value / 10^digits as a decimal fraction: a double would cost more and depend on the locale. */
static void put_fraction(struct writer *w, uint64_t value, unsigned digits)
{
	char text[8];
	uint64_t one = 1;

	for (unsigned i = 0; i < digits; i++)
		one *= 10;
	put_count(w, value / one);
	value %= one;
	text[0] = '.';
	for (unsigned i = digits; i; i--, value /= 10)
		text[i] = (char)('0' + value % 10);
	put(w, text, digits + 1);
}

void writer_time(struct writer *w, uint64_t ns)
{
	before_value(w);
	if (ns)
		put_fraction(w, ns / NS_PER_MS, 3);
	else
		put(w, "0", 1);
}

void writer_duration(struct writer *w, uint64_t ns)
{
	before_value(w);
	if (ns)
		put_fraction(w, ns / NS_PER_US, 6);
	else
		put(w, "0", 1);
}

void writer_ratio(struct writer *w, uint64_t part, uint64_t whole)
{
	before_value(w);
	if (part && whole)
		put_fraction(w, (uint64_t)((double)part / (double)whole * 10000), 4);
	else
		put(w, "0", 1);
}

void member_text(struct writer *w, const char *name, const char *text)
{
	writer_name(w, name);
	writer_text(w, text);
}

void member_count(struct writer *w, const char *name, uint64_t value)
{
	writer_name(w, name);
	writer_count(w, value);
}

void member_flag(struct writer *w, const char *name, bool value)
{
	writer_name(w, name);
	writer_flag(w, value);
}

void member_time(struct writer *w, const char *name, uint64_t ns)
{
	writer_name(w, name);
	writer_time(w, ns);
}

void member_duration(struct writer *w, const char *name, uint64_t ns)
{
	writer_name(w, name);
	writer_duration(w, ns);
}
