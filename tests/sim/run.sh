#!/bin/sh
# Random schedules and all named faults, in virtual time. Fewer of them where a sanitizer slows each down.
set -eu
build=${LAB_BUILD:-.}
seeds=${WEIR_SIM_SEEDS:-10000}
if grep -q '^#define WEIR_SANITIZED 1' "$build/config.h"; then
	seeds=${WEIR_SIM_SEEDS:-300}
fi
"$build/tests/sim/sim" --table
"$build/tests/sim/sim" --verdicts
"$build/tests/sim/sim" --seeds "$seeds"
