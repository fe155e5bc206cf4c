/* Numbers for people. Every function writes a short terminated string and returns out. */
#ifndef WEIR_TUI_FORMAT_H
#define WEIR_TUI_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#define FORMAT_ROOM 32

/* Coarse, so that a quiet screen stays quiet: steps of 5 s below a minute, then minutes, hours, days. */
const char *format_age(char out[FORMAT_ROOM], double seconds);

/* To the second, two units at most: "31s", "4m31s", "3h04m", "2d07h". */
const char *format_span(char out[FORMAT_ROOM], double seconds);

/* "03:12:41" in UTC, "03:12:41.203" with milliseconds; "-" for 0. */
const char *format_clock(char out[FORMAT_ROOM], double unix_seconds, bool milliseconds);

/* Bytes per second in at most 5 cells: "0", "30", "4.1k", "340k", "9.8M"; times eight when bits. A negative
 * one is not known: a dash, in the next one too. */
const char *format_rate(char out[FORMAT_ROOM], double bytes_per_second, bool bits);

/* "12.2 MB/s", "97.6 Mb/s". */
const char *format_rate_unit(char out[FORMAT_ROOM], double bytes_per_second, bool bits);

/* "404 MB". */
const char *format_bytes(char out[FORMAT_ROOM], double bytes, bool bits);

/* A count in at most 6 cells: "40211", "1.2M". */
const char *format_count(char out[FORMAT_ROOM], uint64_t n);

#endif
