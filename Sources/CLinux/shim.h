#pragma once

#include <malloc.h>
#include <sys/prctl.h>

/// Makes the process undumpable: no core file, no ptrace, no /proc/PID/mem for other processes of the same user.
/// prctl(2) is variadic, which Swift cannot call.
static inline int clinux_clear_dumpable(void) {
    return prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
}

/// Bounds the arenas of glibc's allocator; Foundation's overlay of glibc leaves <malloc.h> out.
static inline int clinux_limit_arenas(int count) {
    return mallopt(M_ARENA_MAX, count);
}
