/*
 * `weir IFACE`: three processes. The one that the user started makes a socketpair and forks the engine, which
 * has a session of its own and no terminal; then it gives up its rights and runs the view as its child. So ^Z
 * stops launcher and view as any job, and neither a lost terminal nor a crash of the view reaches the engine.
 */
#ifndef WEIR_CMD_LAUNCH_H
#define WEIR_CMD_LAUNCH_H

#include "cmd/options.h"
#include "cmd/serve.h"

/* Until the engine is ready, its errors appear on this terminal and its exit code is returned. */
int launch(const struct options *o, struct serve_options *engine, struct error *e);

#endif
