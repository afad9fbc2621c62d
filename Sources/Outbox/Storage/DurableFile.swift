import Glibc

/// A small file that is on disk, and in its directory, once it has been made.
enum DurableFile {
    /// Makes a file for its owner alone (0600): under another name first, so that there is never half of it.
    ///
    /// - Parameter failure: What an error of the system becomes.
    static func create(
        at path: String,
        in directory: String,
        _ bytes: UnsafeRawBufferPointer,
        failure: (String, Int32) -> OutboxError
    ) throws(OutboxError) {
        func check(_ result: Int32, _ what: String) throws(OutboxError) {
            guard result < 0 else { return }
            let number = errno
            throw failure("cannot \(what): \(OutboxError.text(ofErrno: number))", number)
        }
        let temporaryPath = path + ".new"
        unlink(temporaryPath)
        let file = open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try check(file, "create \(temporaryPath)")
        defer { close(file) }
        let written = write(file, bytes.baseAddress, bytes.count)
        try check(written == bytes.count ? 0 : -1, "write \(temporaryPath)")
        try check(fsync(file), "fsync \(temporaryPath)")
        try check(rename(temporaryPath, path), "rename \(temporaryPath)")
        let folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        try check(folder, "open \(directory)")
        defer { close(folder) }
        try check(fsync(folder), "fsync \(directory)")
    }
}
