import AdminAPI
import Foundation

/// What a command says.
enum Output {
    /// Prints a message as JSON for people and programs.
    static func json(_ message: some Encodable) throws {
        print(String(decoding: try AdminJSON.encode(message, pretty: true), as: UTF8.self))
    }

    /// Says something that is not the command's result.
    static func note(_ text: String) {
        FileHandle.standardError.write(Data("\(text)\n".utf8))
    }

    /// Sends what was printed so far.
    static func flush() { fflush(nil) }

    /// Whether a person looks at standard output.
    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
}
