import Glibc

/// Keeps a second daemon out of a state directory, for as long as it lives.
///
/// The directory itself is locked: an operator who removes a file of it does not undo that, and by whatever path a second daemon
/// comes, it is the same directory. The file `lock` is locked besides, for daemons of releases that know nothing else.
package struct StateLock: ~Copyable {
    private let directory: Int32
    private let file: Int32

    /// Takes the lock; throws `.alreadyRunning` (exit 75) when another process has it.
    package init(stateDirectory: String) throws(OutboxError) {
        // The properties are set last: a throw after that would run `deinit` too, and close the descriptors twice.
        let directory = try Self.locked(stateDirectory, O_RDONLY | O_DIRECTORY, stateDirectory)
        do throws(OutboxError) {
            file = try Self.locked(stateDirectory + "/lock", O_RDWR | O_CREAT, stateDirectory)
        } catch {
            close(directory)
            throw error
        }
        self.directory = directory
    }

    deinit {
        close(file)
        close(directory)
    }

    private static func locked(
        _ path: String,
        _ flags: Int32,
        _ stateDirectory: String
    ) throws(OutboxError) -> Int32 {
        let descriptor = open(path, flags | O_CLOEXEC, 0o600)
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
            throw OutboxError(.alreadyRunning, "another contact-relay uses \(stateDirectory)", errorNumber: number)
        }
        return descriptor
    }
}
