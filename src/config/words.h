/* The keywords of a configuration file, and the nearest one to a misspelt word. */
#ifndef WEIR_CONFIG_WORDS_H
#define WEIR_CONFIG_WORDS_H

#include <stdbool.h>
#include <stddef.h>

enum section { SECTION_NONE, SECTION_INTERFACE, SECTION_RELAY, SECTION_ICE, SECTION_PEER, SECTION_UNKNOWN };

/* section, name, whether a second line of it adds to the first instead of replacing it */
#define KEYWORD_TABLE(X)                                                                                     \
	X(INTERFACE, PrivateKey, false)                                                                      \
	X(INTERFACE, PrivateKeyFile, false)                                                                  \
	X(INTERFACE, ListenPort, false)                                                                      \
	X(INTERFACE, FwMark, false)                                                                          \
	X(INTERFACE, Address, true)                                                                          \
	X(INTERFACE, DNS, true)                                                                              \
	X(INTERFACE, MTU, false)                                                                             \
	X(INTERFACE, Table, false)                                                                           \
	X(INTERFACE, PreUp, true)                                                                            \
	X(INTERFACE, PostUp, true)                                                                           \
	X(INTERFACE, PreDown, true)                                                                          \
	X(INTERFACE, PostDown, true)                                                                         \
	X(INTERFACE, SaveConfig, false)                                                                      \
	X(INTERFACE, Metrics, false)                                                                         \
	X(RELAY, Url, true)                                                                                  \
	X(RELAY, Secret, false)                                                                              \
	X(RELAY, SecretFile, false)                                                                          \
	X(RELAY, Token, false)                                                                               \
	X(RELAY, TokenFile, false)                                                                           \
	X(RELAY, CaFile, false)                                                                              \
	X(RELAY, Pin, false)                                                                                 \
	X(RELAY, Proxy, false)                                                                               \
	X(ICE, Enable, false)                                                                                \
	X(ICE, Stun, true)                                                                                   \
	X(ICE, Turn, true)                                                                                   \
	X(ICE, TurnUser, false)                                                                              \
	X(ICE, TurnPassword, false)                                                                          \
	X(ICE, TurnPasswordFile, false)                                                                      \
	X(ICE, TurnTransport, false)                                                                         \
	X(ICE, TurnOnly, false)                                                                              \
	X(ICE, Upnp, false)                                                                                  \
	X(ICE, Tcp, false)                                                                                   \
	X(ICE, FastSocket, false)                                                                            \
	X(PEER, PublicKey, false)                                                                            \
	X(PEER, PresharedKey, false)                                                                         \
	X(PEER, PresharedKeyFile, false)                                                                     \
	X(PEER, AllowedIPs, true)                                                                            \
	X(PEER, Endpoint, false)                                                                             \
	X(PEER, PersistentKeepalive, false)                                                                  \
	X(PEER, Relay, false)                                                                                \
	X(PEER, Mode, false)                                                                                 \
	X(PEER, Name, false)

enum keyword {
#define X(section, name, adds) KEYWORD_##name,
	KEYWORD_TABLE(X)
#undef X
		KEYWORDS
};

struct keyword_info {
	const char *name;
	enum section section;
	bool adds;
};
extern const struct keyword_info keyword_table[KEYWORDS];

/* "[Interface]"; "" for SECTION_NONE and SECTION_UNKNOWN. */
const char *section_name(enum section s);

/* Spelling in any case. KEYWORDS or SECTION_UNKNOWN when there is none. */
enum keyword keyword_find(enum section s, const char *word);
enum section section_find(const char *word);

/* The nearest by edit distance, KEYWORDS when none is near. `s` SECTION_NONE looks in all sections. */
enum keyword keyword_nearest(enum section s, const char *word);
enum section section_nearest(const char *word);

#endif
