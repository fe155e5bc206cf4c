/*
 * The cross-platform UAPI on /run/wireguard/IFACE.sock, as wg(8) speaks it. Set answers negative errno values and
 * get positive ones: wg(8) expects both. Two private keys: "drain=true" at device and at peer scope.
 */
#ifndef WEIR_CONTROL_UAPI_H
#define WEIR_CONTROL_UAPI_H

#include "base/error.h"
#include "engine/engine.h"

struct uapi;

/* Listens on folder/IFACE.sock (folder NULL: /run/wireguard), or takes over fd (WG_UAPI_FD) when it is >= 0.
 * A dead socket is replaced, a live one is an error. on_gone: the socket's file was deleted. */
int uapi_open(struct uapi **out, struct engine *g, const char *folder, int fd,
	      void (*on_gone)(void *arg), void *arg, struct error *e);
void uapi_close(struct uapi *u); /* unlinks the socket */

#endif
