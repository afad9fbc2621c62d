import Testing

/// The real daemon against the real simulator, as processes that are killed, restarted and watched.
///
/// Everything runs one after the other: each test has up to three busy processes, and two cores must be enough.
@Suite(
    .serialized,
    .timeLimit(.minutes(max(CrashSettings.current.timeLimitMinutes, ModelSettings.current.timeLimitMinutes)))
)
enum ProcessTests {}
