/* What the files of rules share. Each array ends with an entry without id. */
#ifndef WEIR_DIAGNOSE_RULES_INTERNAL_H
#define WEIR_DIAGNOSE_RULES_INTERNAL_H

#include "diagnose/rules.h"

extern const struct diagnosis_rule rules_path[], rules_relay[], rules_ice[], rules_mtu[];

#endif
