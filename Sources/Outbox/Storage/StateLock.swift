import Glibc

/// Keeps a second daemon out of a state directory, for as long as it lives.
package struct StateLock: ~Copyable {
    private let descriptor: Int32

    /// Takes the lock; throws `.alreadyRunning` (exit 75) when another process has it.
    package init(stateDirectory: String) throws(OutboxError) {
        let path = stateDirectory + "/lock"
        // The property is set last: a throw after that would run `deinit` too, and close the descriptor twice.
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw OutboxError(.storage, "cannot open \(path): \(OutboxError.text(ofErrno: errno))", errorNumber: errno)
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let number = errno
            close(descriptor)
            guard number == EWOULDBLOCK else {
                throw OutboxError(
                    .storage,
                    "cannot lock \(path): \(OutboxError.text(ofErrno: number))",
                    errorNumber: number
                )
            }
            throw OutboxError(
                .alreadyRunning,
                "another contact-relay uses \(stateDirectory)",
                errorNumber: number
            )
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }
}
