#include "ice/candidate.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FOUNDATION_MAX 32 /* RFC 8839 section 5.1 */
#define WORDS_MAX      24

static bool is_ice_char(char c)
{
	return isalnum((unsigned char)c) || c == '+' || c == '/';
}

bool credential_valid(const char *text, unsigned min)
{
	size_t len = strlen(text);

	if (len < min || len >= ICE_CREDENTIAL_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_ice_char(text[i]))
			return false;
	return true;
}

static bool number(const char *word, unsigned long max, unsigned long *out)
{
	unsigned long value = 0;

	if (!*word || strlen(word) > 10)
		return false;
	for (; *word; word++) {
		if (*word < '0' || *word > '9')
			return false;
		value = value * 10 + (unsigned long)(*word - '0');
	}
	*out = value;
	return value <= max;
}

static bool is_foundation(const char *word)
{
	size_t len = strlen(word);

	if (!len || len > FOUNDATION_MAX)
		return false;
	while (*word)
		if (!is_ice_char(*word++))
			return false;
	return true;
}

static bool place(union address *out, const char *ip, const char *port, bool port_may_be_dull)
{
	unsigned long p;

	memset(out, 0, sizeof(*out));
	if (!number(port, UINT16_MAX, &p) || (!p && !port_may_be_dull))
		return false;
	if (inet_pton(AF_INET, ip, &out->in.sin_addr) == 1) {
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons((uint16_t)p);
	} else if (inet_pton(AF_INET6, ip, &out->in6.sin6_addr) == 1) {
		out->in6.sin6_family = AF_INET6;
		out->in6.sin6_port = htons((uint16_t)p);
	} else {
		return false;
	}
	return address_is_unicast(out);
}

static bool read_type(enum ice_candidate_type *out, const char *word)
{
	for (enum ice_candidate_type t = ICE_HOST; t <= ICE_RELAYED; t++)
		if (strcmp(word, ice_candidate_type_name(t)) == 0) {
			*out = t;
			return true;
		}
	return false;
}

/* Pairs of words after the type: what libnice would read from them must be well formed; others are skipped.
 */
static bool read_rest(const struct candidate *c, char *const *words, unsigned count)
{
	union address base;
	unsigned long port;

	if (count % 2)
		return false;
	for (unsigned i = 0; i < count; i += 2) {
		const char *name = words[i], *value = words[i + 1];

		if (strcmp(name, "raddr") == 0) {
			/* hidden bases are said as 0.0.0.0 or :: (RFC 8839 section 5.1) */
			if (!place(&base, value, "9", true) && strcmp(value, "0.0.0.0") != 0 &&
			    strcmp(value, "::") != 0)
				return false;
		} else if (strcmp(name, "rport") == 0) {
			if (!number(value, UINT16_MAX, &port))
				return false;
		} else if (strcmp(name, "tcptype") == 0) {
			if (!c->tcp || (strcmp(value, "active") != 0 && strcmp(value, "passive") != 0 &&
					strcmp(value, "so") != 0))
				return false;
		}
	}
	return true;
}

int candidate_parse(struct candidate *out, const char *text)
{
	char copy[ICE_CANDIDATE_MAX], *words[WORDS_MAX], *at = copy;
	struct candidate c = {0};
	unsigned long value;
	unsigned count = 0;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	for (char *p = copy; *p; p++)
		if (*p < ' ' || *p > '~')
			return -EINVAL;
	for (char *word; (word = strsep(&at, " ")); words[count++] = word)
		if (count == WORDS_MAX || !*word)
			return -EINVAL;
	if (count < 8 || !is_foundation(words[0]) || strcmp(words[1], "1") != 0 ||
	    strcmp(words[6], "typ") != 0)
		return -EINVAL;
	c.tcp = strcasecmp(words[2], "TCP") == 0;
	if (!c.tcp && strcasecmp(words[2], "UDP") != 0)
		return -EINVAL;
	if (!number(words[3], UINT32_MAX, &value) || !value)
		return -EINVAL;
	c.priority = (uint32_t)value;
	/* an active TCP candidate listens nowhere: port 9 or 0 */
	if (!place(&c.address, words[4], words[5], c.tcp) || !read_type(&c.type, words[7]) ||
	    !read_rest(&c, words + 8, count - 8))
		return -EINVAL;
	*out = c;
	return 0;
}

bool candidate_same(const struct candidate *a, const struct candidate *b)
{
	return a->type == b->type && a->tcp == b->tcp && address_equal(&a->address, &b->address);
}
