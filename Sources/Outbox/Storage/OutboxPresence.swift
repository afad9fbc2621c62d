/// What a state directory has of an outbox before one is opened.
enum OutboxPresence: Equatable, Sendable {
    /// Nothing: a new one may be made.
    case none
    /// A database.
    case database
    /// Something that shows that there was an outbox, without its database: nothing may be made in its place.
    case missing(Trace)

    enum Trace: Equatable, Sendable {
        /// A log without its database: it holds writes that were acknowledged.
        case log
        /// The mark of an outbox without its database.
        case mark
    }

    /// - Parameters:
    ///   - databaseBytes: The size of `outbox.sqlite`; nil when there is none.
    ///   - hasLog: Whether there is an `outbox.sqlite-wal`.
    ///   - hasMark: Whether there is an `outbox.mark`.
    init(databaseBytes: Int64?, hasLog: Bool, hasMark: Bool) {
        // A database has its first page before it has a log or a mark; SQLite would delete the log of an empty one.
        if let databaseBytes, databaseBytes > 0 {
            self = .database
        } else if hasLog {
            self = .missing(.log)
        } else if hasMark {
            self = .missing(.mark)
        } else {
            self = databaseBytes == nil ? .none : .database
        }
    }

    /// Why there is no outbox to be opened or made; nil when there is one.
    func fault(databasePath path: String) -> OutboxError? {
        guard case .missing(let trace) = self else { return nil }
        let (found, more) =
            switch trace {
            case .log: ("beside its log \(path)-wal, which may hold acknowledged writes", "move the log away, and ")
            case .mark: ("where there has been an outbox (\(OutboxMark.name))", "")
            }
        return OutboxError(
            .damaged,
            "\(path) is missing or empty \(found); nothing was made or changed. Put the file back. To start anew with an empty "
                + "outbox, and give up what was pending, \(more)remove \(OutboxMark.name) from the state directory"
        )
    }
}
