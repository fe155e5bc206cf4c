/* What the control thread keeps of the tap: shared by tap.c, tap_control.c and tap_stun.c. */
#ifndef WEIR_ENGINE_TAP_TAPS_H
#define WEIR_ENGINE_TAP_TAPS_H

#include "base/strbuf.h"
#include "engine/tap_hooks.h"

struct taps {
	atomic_bool ended;  /* [tap's thread] a session's reader went away */
	bool holding;	    /* a handshake message is being answered */
	uint64_t began;	    /* wall ns when it came */
	struct strbuf held; /* datagrams sent meanwhile: struct held, bytes (tap_control.c) */
	int stun_fd;	    /* -1: no right to listen */
	struct epoch_reader *relay; /* of the relay pool's thread, which is in no worker's epoch */
	bool listening;
	struct loop_fd *stun_watch;
};

/* tap_stun.c: STUN beside libnice's own sockets, heard only while somebody wants wire packets. */
void tap_stun_open(struct engine *g);
void tap_stun_close(struct engine *g);
void tap_stun_listen(struct engine *g, bool on);
bool tap_stun_heard(const struct engine *g);

#endif
