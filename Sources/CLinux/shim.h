#pragma once

#include <sys/prctl.h>

/// Makes the process undumpable: no core file, no ptrace, no /proc/PID/mem for other processes of the same user.
/// prctl(2) is variadic, which Swift cannot call.
static inline int clinux_clear_dumpable(void) {
    return prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
}
