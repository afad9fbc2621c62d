import Glibc

/// Refuses a state directory whose files other users can read or replace, as ssh refuses such keys: contact data is plain in them,
/// and the master key opens the API keys (P7).
package enum StateAccess {
    /// The files that are looked at, as far as they are there; the cache narrows the mode of its own, which is disposable.
    static let names = [
        "master.key", "master.key.previous", "outbox.sqlite", "outbox.sqlite-wal", "outbox.sqlite-shm", OutboxMark.name,
        DiskReserve.name,
        "lock",
    ]

    /// What others may not do with the directory: its group may look into it, so that it can reach an admin socket there.
    static let directoryMask: UInt32 = 0o027
    /// What others may not do with a file: anything.
    static let fileMask: UInt32 = 0o077

    /// Looks at the directory and its files; throws for the first that others have access to, with the command that ends that.
    package static func check(_ directory: String) throws(OutboxError) {
        if let mode = mode(of: directory) {
            if let fault = fault(of: directory, mode: mode, isDirectory: true) { throw fault }
        }
        for name in names {
            let path = directory + "/" + name
            guard let mode = mode(of: path), let fault = fault(of: path, mode: mode, isDirectory: false) else {
                continue
            }
            throw fault
        }
    }

    static func fault(of path: String, mode: UInt32, isDirectory: Bool) -> OutboxError? {
        let (mask, right) = isDirectory ? (directoryMask, "700") : (fileMask, "600")
        guard mode & mask != 0 else { return nil }
        let digits = String(mode & 0o777, radix: 8)
        let shown = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        return OutboxError(
            .exposed,
            "other users have access to \(path) (mode \(shown)), and its contents are secret; nothing was opened. Put it right "
                + "with: chmod \(right) '\(path)'"
        )
    }

    /// The permission bits of what a path names; nil when there is nothing to look at.
    private static func mode(of path: String) -> UInt32? {
        var status = stat()
        return stat(path, &status) == 0 ? UInt32(status.st_mode) & 0o7777 : nil
    }
}
