/// Everything that is wrong with a configuration, found in one go.
package struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong, in the order of the sources: file, environment, command line; never empty.
    package let problems: [Problem]

    /// Creates the error of these problems.
    package init(problems: [Problem]) {
        self.problems = problems
    }

    /// One line a problem.
    package var description: String {
        problems.map(\.description).joined(separator: "\n")
    }
}

extension ConfigurationError {
    /// One thing that is wrong.
    package struct Problem: Sendable, Equatable, CustomStringConvertible {
        /// Where the value came from.
        package let origin: Origin
        /// The key, if the problem is with one.
        package let key: String?
        /// What is wrong and what is allowed.
        package let message: String

        /// The file with the problem, if it is in one.
        package var file: String? {
            if case .file(let path, _) = origin { path } else { nil }
        }

        /// The line of the file, counted from 1, where it is known.
        package var line: Int? {
            if case .file(_, let line) = origin { line } else { nil }
        }

        /// The problem in the form `file:line: key: message`.
        package var description: String {
            [origin.description, key, message].compactMap(\.self).joined(separator: ": ")
        }
    }

    /// Where a setting came from.
    package enum Origin: Sendable, Equatable, CustomStringConvertible {
        /// A file and a line of it, where known.
        case file(String, line: Int?)
        /// An environment variable.
        case environment(variable: String)
        /// The command line.
        case commandLine
        /// Nothing was given.
        case defaults

        /// The place in words, `file:line` for a file.
        package var description: String {
            switch self {
            case .file(let path, let line): path + (line.map { ":\($0)" } ?? "")
            case .environment(let variable): variable
            case .commandLine: "command line"
            case .defaults: "default"
            }
        }
    }
}
