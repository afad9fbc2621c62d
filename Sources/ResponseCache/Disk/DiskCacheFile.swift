import DexatelAPI
import Foundation
import GRDB
import Glibc

/// The files of `cache.sqlite`: made for their owner alone, and set aside when they are of no use.
struct DiskCacheFile: Sendable {
    /// How many files that were set aside are kept.
    static let maxSetAside = 2

    let path: String

    /// Whether an error says that the file is not as the relay has made it, which no retry will mend: the pages, the
    /// tables' definitions, or the kinds of the values.
    static func isDamage(_ error: any Error) -> Bool {
        guard let error = error as? DatabaseError else { return error is RowDecodingError }
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_ERROR, .SQLITE_SCHEMA, .SQLITE_CONSTRAINT, .SQLITE_MISMATCH,
            .SQLITE_FORMAT:
            return true
        default: return false
        }
    }

    /// What SQLite maps and writes when it opens the file: on a disk without as much it is left alone.
    private static let openingBytes: Int64 = 512 << 10

    /// Makes the file if there is none; narrows the mode of one that others could read.
    func prepare() throws {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw DatabaseError(resultCode: .SQLITE_CANTOPEN, message: "\(path): \(String(cString: strerror(errno)))")
        }
        defer { Glibc.close(descriptor) }
        if let free = AllocatedFile.freeBytes(at: path), free < Self.openingBytes {
            throw DatabaseError(resultCode: .SQLITE_FULL, message: "\(path): only \(free) bytes are free")
        }
        guard fchmod(descriptor, 0o600) == 0 else {
            throw DatabaseError(resultCode: .SQLITE_PERM, message: "\(path): \(String(cString: strerror(errno)))")
        }
    }

    /// What the file is, read without changing it.
    ///
    /// - Parameter origin: Of whom the cache is to be.
    func kind(origin: String) throws -> DiskCacheSchema.Kind {
        var configuration = GRDB.Configuration()
        configuration.readonly = true
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        defer { try? queue.close() }
        return try queue.read { try DiskCacheSchema.kind($0, origin: origin) }
    }

    /// Takes the file out of the way, under a name by which it can be looked at; only the latest few are kept.
    func setAside(unixSeconds: Int64) {
        let base = "\(path).damaged-\(unixSeconds)"
        var name = base
        var number = 1
        while access(name, F_OK) == 0, number < 100 {
            number += 1
            name = "\(base)-\(number)"
        }
        // The database goes last: without it, nothing is left that could be taken for a cache.
        for suffix in ["-wal", "-shm", ""] { rename(path + suffix, name + suffix) }
        removeOldest()
    }

    private func removeOldest() {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        let prefix = URL(fileURLWithPath: path).lastPathComponent + ".damaged-"
        func number(_ name: String) -> [Int64] {
            name.dropFirst(prefix.count).split(separator: "-").compactMap { Int64($0) }
        }
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
            .filter { $0.hasPrefix(prefix) && !$0.hasSuffix("-wal") && !$0.hasSuffix("-shm") }
            .sorted { number($0).lexicographicallyPrecedes(number($1)) }
        for name in names.dropLast(Self.maxSetAside) {
            for suffix in ["-wal", "-shm", ""] { unlink("\(folder)/\(name)\(suffix)") }
        }
    }

    /// Deletes the file and what belongs to it.
    func delete() {
        for suffix in ["-wal", "-shm", ""] { unlink(path + suffix) }
    }
}
