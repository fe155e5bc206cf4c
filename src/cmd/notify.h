/* What systemd is told (sd_notify(3)); without systemd, or without libsystemd, nothing happens. */
#ifndef WEIR_CMD_NOTIFY_H
#define WEIR_CMD_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

bool notify_wanted(void); /* somebody listens */
void notify_ready(void);
void notify_reloading(void); /* to be followed by notify_ready */
void notify_stopping(void);
void notify_more_time(uint64_t ns); /* for a start or a stop that runs hooks */
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void notify_alive(void);

/* How often notify_alive is due (half of WatchdogSec=), 0: never. */
uint64_t notify_alive_interval(void);

/* True when stderr goes to the journal, so that lines should carry their level. */
bool notify_journal(void);

/* A descriptor whose lines go to the journal, or -1. */
int notify_journal_stream(void);

#endif
