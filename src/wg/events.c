/* Names and texts, from the tables of events.h. */
#include "wg/events.h"

#define NAME(name, text) #name,
#define TEXT(name, text) text,

static const char *const counter_names[WG_COUNTERS] = {WG_COUNTER_TABLE(NAME)};
static const char *const counter_texts[WG_COUNTERS] = {WG_COUNTER_TABLE(TEXT)};
static const char *const reason_names[WG_REASONS] = {WG_REASON_TABLE(NAME)};
static const char *const reason_texts[WG_REASONS] = {WG_REASON_TABLE(TEXT)};

const char *wg_counter_name(enum wg_counter c)
{
	return (unsigned)c < WG_COUNTERS ? counter_names[c] : "unknown";
}

const char *wg_counter_text(enum wg_counter c)
{
	return (unsigned)c < WG_COUNTERS ? counter_texts[c] : "unknown";
}

const char *wg_reason_name(enum wg_reason r)
{
	return (unsigned)r < WG_REASONS ? reason_names[r] : "unknown";
}

const char *wg_reason_text(enum wg_reason r)
{
	return (unsigned)r < WG_REASONS ? reason_texts[r] : "unknown";
}
