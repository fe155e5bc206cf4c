/* Private to the reader: what parse.c (lines, sections, keywords) and value.c (what stands behind the =)
 * share. */
#ifndef WEIR_CONFIG_PARSE_H
#define WEIR_CONFIG_PARSE_H

#include <sys/stat.h>

#include "base/map.h"
#include "config/conf.h"
#include "config/words.h"

struct parser {
	struct conf *c;
	struct conf_messages *m;
	const char *path; /* NULL: no file may be opened */
	enum section section;
	enum keyword keyword; /* of the line in hand */
	int line, column;     /* of the value in hand */
	struct conf_peer *peer;
	size_t peer_room;
	bool turn_bad;	    /* the Turn in hand was refused: what is below it is not read */
	bool named;	    /* the peer's name came from the keyword, not from a comment */
	bool comment_names; /* still in the block of lines that [Peer] begins */
	int interface_line; /* of [Interface], 0: none yet */
	int seen[KEYWORDS]; /* line where the section in hand had it, 0: not yet */
	struct map *by_key; /* public key -> its line, as a pointer */
};

/* Reads the value of p->keyword. text is trimmed, writable, and wiped by the caller. */
void value_read(struct parser *p, char *text);

/* A name for the peer in hand, from Name or from a comment; a bad one is an error or a warning. */
void value_name(struct parser *p, const char *text, bool from_comment);

/* 44 characters of base64 from a file. `what` is the keyword or "credential". */
bool value_key_file(struct parser *p, const char *what, const char *path, struct key *out);

/* The value of a keyword of [Relay] or [Ice], or of Relay and Mode of a [Peer]; text as for value_read. */
void network_value_read(struct parser *p, char *text);

/*
 * The text of a file without the blanks around it, *len bytes, which the caller wipes and frees; NULL: told.
 * `noun` is what is in it, for the warning that all may read it.
 */
char *value_text_file(struct parser *p, const char *what, const char *path, const char *noun, size_t *len);

/* A path of the configuration as one that does not depend on where we stand: a relative one starts at the
 * configuration's folder. NULL: told. The caller frees. */
char *value_path(struct parser *p, const char *text);

/* HOST:PORT taken apart in place, without the brackets of an IPv6 address; what is wrong with it, or NULL. */
const char *endpoint_fault(char *text, char **host, char **port);

/* Commas part items; where wg-quick(8) reads, blanks do too. Each item is read with its own column. */
void each_item(struct parser *p, char *text, bool blanks_part, void (*read)(struct parser *, const char *));

/* Takes all blanks out, as wg(8) reads a line; in place. */
void text_compact(char *text);

/* May others than owner and group read it, folder included? st is of path. */
bool open_to_all(const char *path, const struct stat *st);

/* Text of an error: control bytes visible, cut, and nothing that might be a key. */
#define QUOTE_MAX 72
const char *quote(char out[QUOTE_MAX], const char *text);

/* Complaints about the line in hand. */
#define bad(p, hint, ...)      conf_complain((p)->m, CONF_ERROR, (p)->line, (p)->column, hint, __VA_ARGS__)
#define doubtful(p, hint, ...) conf_complain((p)->m, CONF_WARNING, (p)->line, (p)->column, hint, __VA_ARGS__)

/* Copy of words that lives in the configuration. */
void conf_list_add(struct conf_list *list, const char *item);

/* Room for one more item: doubles at powers of two. Not for secrets: the old place is not wiped. */
void *conf_grow(void *items, size_t count, size_t size);

#endif
