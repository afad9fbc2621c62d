/// An error of the admin API: problem details (RFC 9457) with a name for programs.
package struct AdminProblem: Error, Codable, Sendable, Equatable, CustomStringConvertible {
    /// `about:blank`: the name says what it is.
    package var type: String
    /// The status in words.
    package var title: String
    /// The status.
    package var status: Int
    /// What it is, for programs: `not_found`, `overloaded`, `key_refused`, ….
    package var code: String
    /// What is the matter and what to do, for operators.
    package var detail: String

    /// Describes an error.
    package init(_ status: Int, _ code: String, _ detail: String, title: String) {
        (type, self.title, self.status, self.code, self.detail) = ("about:blank", title, status, code, detail)
    }

    package var description: String { detail }
}
