import Glibc

/// Makes the three standard streams safe to have.
enum StandardStreams {
    /// Occupies those that are closed, and has a reader that is gone be an error instead of the end.
    ///
    /// The next file that is opened would take a closed one's number, and the log or a command's output would be written
    /// into it: into the database, at worst. What is occupied so cannot be written, which is told as any other failure.
    static func secure() {
        signal(SIGPIPE, SIG_IGN)
        for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest free number, which is this one.
            _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }
}
