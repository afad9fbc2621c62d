/// The names that one object has used so far.
///
/// A few names are compared one by one as they come, without an allocation. Beyond that all are compared at the
/// object's end in sorted order, so that thousands of names cost no square of their number.
struct JSONNames {
    private var inline = InlineArray<16, JSONName>(repeating: .empty)
    private var inlineCount = 0
    private var overflow: [JSONName] = []

    /// Adds a name; whether it is already known to be there twice.
    @inline(__always)
    mutating func insert(_ name: JSONName, in reader: JSONReader) -> Bool {
        guard inlineCount < inline.count else {
            overflow.append(name)
            return false
        }
        for index in 0..<inlineCount where reader.areEqual(inline[index], name) { return true }
        inline[inlineCount] = name
        inlineCount += 1
        return false
    }

    /// A name that the whole object has twice, if the names were too many to tell at once.
    func duplicate(in reader: JSONReader) -> JSONName? {
        guard !overflow.isEmpty else { return nil }
        var names = overflow
        for index in 0..<inlineCount { names.append(inline[index]) }
        names.sort { reader.isOrdered($0, $1) }
        for index in 1..<names.count where reader.areEqual(names[index - 1], names[index]) { return names[index] }
        return nil
    }
}
