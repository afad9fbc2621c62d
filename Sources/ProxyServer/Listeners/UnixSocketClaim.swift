import Glibc
import Synchronization

/// The right of one daemon to listen at the path of a Unix socket.
///
/// A lock file beside the socket decides between daemons that start together; a socket at which somebody listens, with or
/// without a lock, is never taken over. A socket that a dead daemon has left is replaced.
package final class UnixSocketClaim: Sendable {
    private struct Identity: Equatable, Sendable {
        var device: dev_t
        var inode: ino_t

        init(_ status: stat) { (device, inode) = (status.st_dev, status.st_ino) }
    }

    private struct State {
        var lock: CInt?
        var bound: Identity?
    }

    private let path: String
    private var lockPath: String { path + ".lock" }
    private let state: Mutex<State>

    /// Claims a path, and clears it of a socket at which nobody listens.
    package init(_ path: String) throws(UnixSocketFailure) {
        self.path = path
        let lock = try Self.lock(path + ".lock", for: path)
        state = Mutex(State(lock: lock))
        do throws(UnixSocketFailure) {
            try Self.clear(path)
        } catch {
            release()
            throw error
        }
    }

    deinit { release() }

    /// Sets the mode of the socket that was bound, and remembers which one it is.
    package func bound(mode: UInt32) throws(UnixSocketFailure) {
        var status = stat()
        guard chmod(path, mode) == 0, lstat(path, &status) == 0 else {
            throw UnixSocketFailure(path: path, errorNumber: errno, reason: "its mode cannot be set")
        }
        let identity = Identity(status)
        state.withLock { $0.bound = identity }
    }

    /// Removes the socket, if it still is the one that was bound, and gives the path back.
    package func release() {
        let (lock, bound) = state.withLock { state in
            defer { state = State() }
            return (state.lock, state.bound)
        }
        guard let lock else { return }
        var status = stat()
        if let bound, lstat(path, &status) == 0, Identity(status) == bound { unlink(path) }
        // While it is locked; whoever has opened it meanwhile sees that it is not the path's any more.
        unlink(lockPath)
        close(lock)
    }

    private static func lock(_ lockPath: String, for path: String) throws(UnixSocketFailure) -> CInt {
        while true {
            let descriptor = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard descriptor >= 0 else {
                throw UnixSocketFailure(path: path, errorNumber: errno, reason: "\(lockPath) cannot be opened")
            }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                let number = errno
                close(descriptor)
                if number == EINTR { continue }
                if number == EWOULDBLOCK { throw UnixSocketFailure(takenPath: path) }
                throw UnixSocketFailure(path: path, errorNumber: number, reason: "its lock cannot be had")
            }
            var (mine, current) = (stat(), stat())
            if fstat(descriptor, &mine) == 0, lstat(lockPath, &current) == 0, Identity(mine) == Identity(current) {
                return descriptor
            }
            // Its last owner has removed it in between.
            close(descriptor)
        }
    }

    private static func clear(_ path: String) throws(UnixSocketFailure) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            guard errno == ENOENT else {
                throw UnixSocketFailure(path: path, errorNumber: errno, reason: "it cannot be looked at")
            }
            return
        }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw UnixSocketFailure(path: path, errorNumber: EEXIST, reason: "something that is no socket is there")
        }
        switch connectionError(path) {
        case ENOENT: return
        case ECONNREFUSED: break
        // Also a full backlog, and a socket of another kind, are somebody's.
        case 0, EAGAIN, EINPROGRESS, EPROTOTYPE: throw UnixSocketFailure(takenPath: path)
        case let number:
            throw UnixSocketFailure(path: path, errorNumber: number, reason: "whether somebody listens cannot be seen")
        }
        guard unlink(path) == 0 || errno == ENOENT else {
            throw UnixSocketFailure(path: path, errorNumber: errno, reason: "the old socket cannot be removed")
        }
    }

    /// The system's error number when one connects to a path; 0 where somebody listens.
    private static func connectionError(_ path: String) -> CInt {
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let isShort = withUnsafeMutableBytes(of: &address.sun_path) { room in
            guard path.utf8.count < room.count else { return false }
            room.copyBytes(from: path.utf8)
            return true
        }
        guard isShort else { return ENAMETOOLONG }
        return withUnsafeBytes(of: &address) { bytes in
            connect(
                descriptor,
                bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self),
                socklen_t(MemoryLayout<sockaddr_un>.size)
            ) == 0 ? 0 : errno
        }
    }
}

/// A Unix socket cannot be listened at.
package struct UnixSocketFailure: Error, Sendable, CustomStringConvertible {
    /// The system's error number.
    package let errorNumber: Int32
    /// Whether another daemon listens there (exit 75).
    package let isTaken: Bool
    /// What is wrong, for an operator.
    package let description: String

    init(path: String, errorNumber: Int32, reason: String) {
        (self.errorNumber, isTaken) = (errorNumber, false)
        description = "cannot listen at \(path): \(reason): \(String(cString: strerror(errorNumber)))"
    }

    init(takenPath path: String) {
        (errorNumber, isTaken) = (EADDRINUSE, true)
        description = "another daemon listens at \(path); stop it, or give this one a path of its own"
    }
}
