import GRDB
import Glibc

/// An error that ends the start of the outbox, or of a call on it.
package struct OutboxError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of error it is; decides the exit status.
    package enum Code: Sendable, Equatable {
        /// Another process holds the state directory (exit 75).
        case alreadyRunning
        /// The master key is missing, wrong or ambiguous (exit 78).
        case masterKey
        /// The database is from a release that this one cannot read (exit 78).
        case schemaTooNew
        /// Other users have access to the state directory or its files (exit 78).
        case exposed
        /// The database is damaged (exit 74).
        case damaged
        /// The database or its directory cannot be read or written (exit 74).
        case storage
    }

    /// What kind of error it is.
    package let code: Code
    /// What happened and what to do, for an operator.
    package let message: String

    /// The system's error number behind it, where there is one.
    package let errorNumber: Int32?
    /// Whether a row of the database is damaged, which can be set aside.
    let isOfRow: Bool

    /// Makes an error with a message that an operator can act on.
    package init(_ code: Code, _ message: String, errorNumber: Int32? = nil) {
        self.init(code, message, errorNumber: errorNumber, isOfRow: false)
    }

    init(_ code: Code, _ message: String, errorNumber: Int32? = nil, isOfRow: Bool) {
        self.isOfRow = isOfRow
        self.code = code
        self.message = message
        self.errorNumber = errorNumber
    }

    package var description: String { message }

    /// Whether an error says that the database is damaged, and not only that it cannot be read just now.
    static func isDamage(_ error: any Error) -> Bool {
        switch error {
        case let error as OutboxError: error.code == .damaged
        case let error as DatabaseError:
            error.resultCode == .SQLITE_CORRUPT || error.resultCode == .SQLITE_NOTADB
        default: error is RowDecodingError
        }
    }

    /// Whether an error says that there is no room on the disk.
    static func isDiskFull(_ error: any Error) -> Bool {
        (error as? DatabaseError)?.resultCode == .SQLITE_FULL || (error as? OutboxError)?.errorNumber == ENOSPC
    }

    static func text(ofErrno number: Int32) -> String { String(cString: strerror(number)) }
}
