/* The tap's share of the control socket. */
#ifndef WEIR_CONTROL_TAP_H
#define WEIR_CONTROL_TAP_H

#include "base/error.h"

struct control;
struct control_client;
struct request;
struct writer;

int control_tap_open(struct control *c, struct error *e); /* -errno with words: no descriptor is left */
void control_tap_close(struct control *c); /* after the clients */
void control_tap_stop(struct control_client *c);
void control_tap_members(struct control *c, struct writer *w);

/* Each answers its request once (weir-control(7)); behind the answers of capture and kept come records. */
void method_tap(struct request *r);
void method_untap(struct request *r);
void method_capture(struct request *r);
void method_keep(struct request *r);
void method_kept(struct request *r);

#endif
