#include "tui/format.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

const char *format_age(char out[FORMAT_ROOM], double seconds)
{
	if (!(seconds > 0))
		seconds = 0;
	if (seconds < 5)
		snprintf(out, FORMAT_ROOM, "<5s");
	else if (seconds < 60)
		snprintf(out, FORMAT_ROOM, "%ds", (int)seconds / 5 * 5);
	else if (seconds < 3600)
		snprintf(out, FORMAT_ROOM, "%dm", (int)(seconds / 60));
	else if (seconds < 86400)
		snprintf(out, FORMAT_ROOM, "%dh", (int)(seconds / 3600));
	else
		snprintf(out, FORMAT_ROOM, "%.0fd", fmin(floor(seconds / 86400), 99999));
	return out;
}

const char *format_span(char out[FORMAT_ROOM], double seconds)
{
	long s = seconds > 0 && seconds < 1e12 ? (long)seconds : 0;

	if (s < 60)
		snprintf(out, FORMAT_ROOM, "%lds", s);
	else if (s < 3600)
		snprintf(out, FORMAT_ROOM, "%ldm%02lds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, FORMAT_ROOM, "%ldh%02ldm", s / 3600, s / 60 % 60);
	else
		snprintf(out, FORMAT_ROOM, "%ldd%02ldh", s / 86400, s / 3600 % 24);
	return out;
}

const char *format_clock(char out[FORMAT_ROOM], double unix_seconds, bool milliseconds)
{
	time_t whole;
	struct tm tm;
	size_t len;

	if (!(unix_seconds > 0) || unix_seconds > 2e11) {
		snprintf(out, FORMAT_ROOM, "-");
		return out;
	}
	whole = (time_t)unix_seconds;
	gmtime_r(&whole, &tm);
	len = strftime(out, FORMAT_ROOM, "%H:%M:%S", &tm);
	if (milliseconds)
		snprintf(out + len, FORMAT_ROOM - len, ".%03d", (int)((unix_seconds - (double)whole) * 1000));
	return out;
}

/* Scales v below 1000 by steps of 1000; the step's letter. */
static char scale(double *v)
{
	static const char letters[] = " kMGTPE";
	unsigned step = 0;

	while (*v >= 999.5 && letters[step + 1]) {
		*v /= 1000;
		step++;
	}
	return letters[step];
}

const char *format_rate(char out[FORMAT_ROOM], double bytes_per_second, bool bits)
{
	double v = bytes_per_second > 0 ? bytes_per_second * (bits ? 8 : 1) : 0;
	char letter = scale(&v);

	if (bytes_per_second < 0)
		snprintf(out, FORMAT_ROOM, "\u2013");
	else if (letter == ' ')
		snprintf(out, FORMAT_ROOM, "%.0f", v);
	else
		snprintf(out, FORMAT_ROOM, v < 9.95 ? "%.1f%c" : "%.0f%c", v, letter);
	return out;
}

static const char *with_unit(char out[FORMAT_ROOM], double v, bool bits, const char *per)
{
	char letter;

	v = v > 0 ? v * (bits ? 8 : 1) : 0;
	letter = scale(&v);
	if (letter == ' ')
		snprintf(out, FORMAT_ROOM, "%.0f %s%s", v, bits ? "b" : "B", per);
	else
		snprintf(out, FORMAT_ROOM, v < 99.95 ? "%.1f %c%s%s" : "%.0f %c%s%s", v, letter,
			 bits ? "b" : "B", per);
	return out;
}

const char *format_rate_unit(char out[FORMAT_ROOM], double bytes_per_second, bool bits)
{
	return bytes_per_second < 0 ? format_rate(out, bytes_per_second, bits)
				    : with_unit(out, bytes_per_second, bits, "/s");
}

const char *format_bytes(char out[FORMAT_ROOM], double bytes, bool bits)
{
	return with_unit(out, bytes, bits, "");
}

const char *format_count(char out[FORMAT_ROOM], uint64_t n)
{
	double v = (double)n;
	char letter;

	if (n < 100000) {
		snprintf(out, FORMAT_ROOM, "%llu", (unsigned long long)n);
		return out;
	}
	letter = scale(&v);
	snprintf(out, FORMAT_ROOM, v < 99.95 ? "%.1f%c" : "%.0f%c", v, letter);
	return out;
}
