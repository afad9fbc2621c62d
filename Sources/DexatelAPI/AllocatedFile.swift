private import CLinux
private import Glibc

/// A file that has blocks for all of a length, so that nothing that is written there fails for lack of room.
///
/// SQLite maps the shared memory of a WAL (`-shm`) and writes one byte of each 4 KiB of it. Where the file system's blocks are
/// smaller the rest are holes, and on a full disk to touch one is SIGBUS.
package final class AllocatedFile: Sendable {
    private let descriptor: Int32

    /// Opens a file, makes it if need be, and allocates its first bytes.
    ///
    /// It stays open until this goes: SQLite's locks on a file end when its process closes any descriptor of it.
    ///
    /// - Throws: The error number of the system, `ENOSPC` where there is no room.
    package init(path: String, bytes: Int) throws(Failure) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure(errorNumber: errno) }
        guard clinux_allocate(descriptor, off_t(bytes)) != 0 else { return }
        let number = errno
        // Some file systems cannot; what is written there may then fail for lack of room, as ever.
        guard number != EOPNOTSUPP, number != ENOSYS else { return }
        throw Failure(errorNumber: number)
    }

    /// Whether a path names this very file.
    package func isAt(_ path: String) -> Bool {
        var (own, other) = (stat(), stat())
        guard fstat(descriptor, &own) == 0, stat(path, &other) == 0 else { return false }
        return own.st_dev == other.st_dev && own.st_ino == other.st_ino
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// The bytes that users other than root may still write to the file system of a path; nil when it cannot say.
    package static func freeBytes(at path: String) -> Int64? {
        var statistics = statvfs()
        guard statvfs(path, &statistics) == 0 else { return nil }
        return Int64(statistics.f_bavail) * Int64(statistics.f_frsize)
    }

    /// An error of the system.
    package struct Failure: Error, Equatable, CustomStringConvertible {
        /// Which one.
        package let errorNumber: Int32

        /// Names an error.
        package init(errorNumber: Int32) { self.errorNumber = errorNumber }

        /// The system's words for it.
        package var description: String { String(cString: strerror(errorNumber)) }
    }
}
