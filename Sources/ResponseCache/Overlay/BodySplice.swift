/// A body with changes at some places, written in one pass: places come in the order of the body.
struct BodySplice {
    private let base: UnsafeRawBufferPointer
    private var output: [UInt8] = []
    /// How much of the base has been written or left out.
    private var position = 0
    /// Whether the result is the base.
    private(set) var isUntouched = true

    /// What a handful of fields adds: one allocation then serves the whole body.
    private static let usualGrowth = 512

    /// Begins with the whole base, whose bytes must outlive the splice.
    init(_ base: UnsafeRawBufferPointer) {
        self.base = base
    }

    /// Puts bytes in the place of a range; the same bytes are no change.
    mutating func replace(_ range: Range<Int>, with bytes: [UInt8]) {
        guard !base[range].elementsEqual(bytes) else { return }
        copy(to: range.lowerBound)
        output += bytes
        position = range.upperBound
    }

    /// Puts bytes between two of the base.
    mutating func insert(_ bytes: [UInt8], at place: Int) {
        copy(to: place)
        output += bytes
    }

    /// Leaves a range out.
    mutating func remove(_ range: Range<Int>) {
        copy(to: range.lowerBound)
        position = range.upperBound
    }

    /// The whole body.
    consuming func finished() -> [UInt8] {
        copy(to: base.count)
        return output
    }

    private mutating func copy(to place: Int) {
        if isUntouched {
            isUntouched = false
            output.reserveCapacity(base.count + Self.usualGrowth)
        }
        output.append(contentsOf: base[position..<place])
        position = place
    }
}
