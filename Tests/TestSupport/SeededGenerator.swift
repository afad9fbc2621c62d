import Foundation

/// SplitMix64: the same numbers for the same seed, so that a failing run can be had again.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    /// What the numbers follow from.
    package let seed: UInt64
    private var state: UInt64

    /// Starts with a seed that the test names or prints itself.
    package init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// Starts with the seed in `TEST_SEED`, or with a new one, and prints it.
    package init(_ purpose: String) {
        let given = ProcessInfo.processInfo.environment["TEST_SEED"].flatMap { UInt64($0) }
        self.init(seed: given ?? UInt64.random(in: 0...UInt64.max))
        print("\(purpose): TEST_SEED=\(seed)")
    }

    /// The next 64 bits.
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// True once in so many calls.
    package mutating func chance(oneIn count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }
}
