private import Glibc

/// A user of this host, as an operator names one.
package struct LocalUser: Sendable, Equatable {
    /// The name or number that was given.
    package let text: String
    /// The user's number.
    package let uid: UInt32

    /// Takes a number, or a name that this host knows; nil for everything else.
    package init?(_ text: String) {
        guard let uid = text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) ? UInt32(text) : Self.uid(named: text) else {
            return nil
        }
        self.text = text
        self.uid = uid
    }

    private static func uid(named name: String) -> UInt32? {
        var record = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16 << 10)
        guard getpwnam_r(name, &record, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
        return record.pw_uid
    }
}
