/* What encode.c, decode.c and seal.c know together: the body's layout. */
#ifndef WEIR_SIGNAL_INTERNAL_H
#define WEIR_SIGNAL_INTERNAL_H

#include "signal/signal.h"

#define BODY_HEAD_LEN 40 /* type, flags, count of fields, boot, start stamp, sequence, session, generation   \
			  */
#define FIELD_HEAD_LEN 3 /* tag, length */

/* Of a field's value: no fewer bytes, no more. A report may grow in later versions; what is not known of it
 * is skipped. */
#define REPORT_LEN     147
#define ADDRESS4_LEN   7 /* family 4, port, address */
#define ADDRESS6_LEN   19

enum tag {
	TAG_REASON = 1,
	TAG_CREDENTIALS = 2,
	TAG_RELAY = 3,
	TAG_ANSWERED = 4,
	TAG_ECHO = 5,
	TAG_OBSERVED = 6,
	TAG_SIZE = 7,
	TAG_COUNTS = 8,
	TAG_REPORT = 9,
	TAG_BACK_IN = 10,
	TAG_PATH = 11,
	TAG_VERSION = 12,
	TAG_CANDIDATES = 13,
	TAG_NAT = 14,
	TAG_PADDING = 255,
};

#define KNOWN_FLAGS (SIGNAL_ASK | SIGNAL_NO_ICE | SIGNAL_RESTARTS)

/* Printable ASCII, at least one and less than max bytes: what may be shown, logged and handed to a parser of
 * text. */
bool signal_text_is_good(const char *text, size_t len, size_t max, bool spaces);

/* Takes note of a frame that opened under the pair's key: OK, NEW_BOOT, REPLAYED or OLD_BOOT. */
enum signal_verdict signal_guard(struct signal_pair *p, uint64_t boot, uint64_t started, uint64_t sequence);

#endif
