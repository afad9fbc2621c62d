/// Names are compared as bytes: Unicode's canonical equivalence would take two distinct members for one.
extension JSONReader {
    /// Lends the bytes of a name of an object that is still open.
    @inline(__always)
    func withBytes<R>(of name: JSONName, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        if name.isInArena {
            arena.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[name.start..<name.start + name.count])) }
        } else {
            body(UnsafeRawBufferPointer(rebasing: scanner.text[name.start..<name.start + name.count]))
        }
    }

    /// The name as a string.
    func string(of name: JSONName) -> String {
        withBytes(of: name) { String(decoding: $0, as: UTF8.self) }
    }

    /// Whether the name is the literal.
    @inline(__always)
    func isName(_ name: JSONName, _ literal: StaticString) -> Bool {
        guard name.count == literal.utf8CodeUnitCount else { return false }
        return withBytes(of: name) { bytes in
            for index in 0..<bytes.count where bytes[index] != literal.utf8Start[index] { return false }
            return true
        }
    }

    /// Whether two names are the same bytes.
    @inline(__always)
    func areEqual(_ one: JSONName, _ other: JSONName) -> Bool {
        guard one.count == other.count else { return false }
        return withBytes(of: one) { left in
            withBytes(of: other) { right in
                for index in 0..<left.count where left[index] != right[index] { return false }
                return true
            }
        }
    }

    /// Some total order of names: the shorter first.
    func isOrdered(_ one: JSONName, _ other: JSONName) -> Bool {
        guard one.count == other.count else { return one.count < other.count }
        return withBytes(of: one) { left in withBytes(of: other) { left.lexicographicallyPrecedes($0) } }
    }
}
