import Glibc

/// Which file it is, by whatever name.
struct FileIdentity: Hashable, Sendable {
    var device: UInt64
    var inode: UInt64
    /// How long it is.
    var size: Int64

    /// The file that a path names; an `errno` when it cannot be found out.
    static func of(_ path: String) -> Result<FileIdentity, Errno> {
        var status = stat()
        guard stat(path, &status) == 0 else { return .failure(Errno(number: errno)) }
        return .success(
            FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size))
        )
    }

    func isSameFile(as other: FileIdentity) -> Bool { device == other.device && inode == other.inode }

    /// An error number of the system.
    struct Errno: Error, Equatable { let number: Int32 }
}

/// What is wrong with the files of an outbox that is open.
enum FilesFault: Error, Equatable, Sendable {
    /// No file is at the path any more: deleted, moved, or its directory was.
    case missing(path: String)
    /// Another file is at the path.
    case replaced(path: String)
    /// The file cannot be looked at.
    case unreadable(path: String, number: Int32)
    /// The database has been cut short.
    case cut(path: String)

    var description: String {
        switch self {
        case .missing(let path): "\(path) was deleted or moved while the relay has it open"
        case .replaced(let path): "\(path) is not the file that the relay has open: it was replaced"
        case .unreadable(let path, let number):
            "\(path) cannot be looked at while the relay has it open: \(OutboxError.text(ofErrno: number))"
        case .cut(let path): "\(path) was cut short by another program; it is damaged"
        }
    }
}

/// The files that an outbox has open, to be compared with those at their paths: a commit to a file that nobody will find
/// again is none.
struct OpenFiles: Sendable {
    private var files: [(path: String, file: FileIdentity)]

    /// Notes the files at these paths, the database's first; its size must not shrink from now on.
    init(database: String, log: String) throws(FilesFault) {
        files = []
        for path in [database, log] { files.append((path, try Self.file(at: path))) }
    }

    /// Looks whether the paths still name the same files; one stat(2) for each.
    mutating func look() throws(FilesFault) {
        for index in files.indices {
            let (path, known) = files[index]
            let found = try Self.file(at: path)
            guard found.isSameFile(as: known) else { throw .replaced(path: path) }
            guard index == 0 else { continue }
            guard found.size >= known.size else { throw .cut(path: path) }
            files[index].file.size = found.size
        }
    }

    /// Whether a database may be opened at the first path again: it is the one that was open before.
    func checkDatabase() throws(FilesFault) {
        let (path, known) = files[0]
        guard try Self.file(at: path).isSameFile(as: known) else { throw .replaced(path: path) }
    }

    private static func file(at path: String) throws(FilesFault) -> FileIdentity {
        switch FileIdentity.of(path) {
        case .success(let file): return file
        case .failure(let error):
            guard error.number == ENOENT || error.number == ENOTDIR else {
                throw .unreadable(path: path, number: error.number)
            }
            throw .missing(path: path)
        }
    }
}
