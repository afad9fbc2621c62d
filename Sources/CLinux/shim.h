#pragma once

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>

/// Makes the process undumpable: no core file, no ptrace, no /proc/PID/mem for other processes of the same user.
/// prctl(2) is variadic, which Swift cannot call.
static inline int clinux_clear_dumpable(void) {
    return prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
}

/// Bounds the arenas of glibc's allocator; Foundation's overlay of glibc leaves <malloc.h> out.
static inline int clinux_limit_arenas(int count) {
    return mallopt(M_ARENA_MAX, count);
}

/// Waits for a condition until a moment of the monotonic clock. Foundation's overlay of glibc does not show the function, which
/// <pthread.h> declares for GNU sources alone.
extern int pthread_cond_clockwait(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
static inline int clinux_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *deadline) {
    return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, deadline);
}

/// Allocates blocks for a part of a file, without changing what it holds; <fcntl.h> declares it for GNU sources alone.
extern int fallocate(int, int, off_t, off_t);
static inline int clinux_allocate(int descriptor, off_t length) {
    return fallocate(descriptor, 0, 0, length);
}
