import AdminAPI
import Foundation

/// Reads an API key from a file or standard input; without an echo where a person types it.
enum NewKey {
    static func read(from path: String?) throws -> String {
        let text: String
        if path == nil || path == "-", isatty(STDIN_FILENO) == 1 {
            text = try typed()
        } else {
            let lines = try LineReader(path: path)
            text = String(decoding: try lines.next() ?? [], as: UTF8.self)
            guard try lines.next()?.isEmpty ?? true else {
                throw ExitStatus.fail("the new key is to be one line", ExitStatus.usage)
            }
        }
        let key = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard !key.isEmpty, key.utf8.count <= KeyReplacementRequest.maxKeyBytes,
            key.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else {
            throw ExitStatus.fail("the new key is to be visible ASCII characters, without spaces", ExitStatus.usage)
        }
        return key
    }

    private static func typed() throws -> String {
        Output.note("New key (not shown): ", terminator: "")
        var shown = termios()
        guard tcgetattr(STDIN_FILENO, &shown) == 0 else {
            throw FileFailure(description: "cannot turn off the terminal's echo: \(String(cString: strerror(errno)))")
        }
        var hidden = shown
        hidden.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden)
        defer {
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown)
            Output.note("")
        }
        return readLine() ?? ""
    }
}
