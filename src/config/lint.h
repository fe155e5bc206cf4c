/* Private to lint: what lint.c has asked of its other half. */
#ifndef WEIR_CONFIG_LINT_H
#define WEIR_CONFIG_LINT_H

#include "config/conf.h"

#define warn(m, line, column, hint, ...) conf_complain(m, CONF_WARNING, line, column, hint, __VA_ARGS__)

/* [Relay] and [Ice], and what peers say about them. */
void lint_network(const struct conf *c, struct conf_messages *m);

#endif
