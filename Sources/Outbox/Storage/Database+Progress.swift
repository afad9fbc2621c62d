import GRDB
import GRDBSQLite

extension Database {
    /// Runs a body whose statements say now and then that they make progress: once in so many steps of SQLite's machine.
    ///
    /// SQLite before 3.41 says nothing while an integrity check walks the pages, only while it walks the rows.
    func withProgress<Result>(
        steps: Int32,
        _ progress: @escaping () -> Void,
        _ body: () throws -> Result
    ) rethrows -> Result {
        let listener = ProgressListener(progress)
        return try withExtendedLifetime(listener) {
            sqlite3_progress_handler(
                sqliteConnection,
                steps,
                { context in
                    if let context { Unmanaged<ProgressListener>.fromOpaque(context).takeUnretainedValue().progress() }
                    // Anything else would interrupt the statement.
                    return 0
                },
                Unmanaged.passUnretained(listener).toOpaque()
            )
            defer { sqlite3_progress_handler(sqliteConnection, 0, nil, nil) }
            return try body()
        }
    }
}

/// Carries a closure through C.
private final class ProgressListener {
    let progress: () -> Void

    init(_ progress: @escaping () -> Void) { self.progress = progress }
}
