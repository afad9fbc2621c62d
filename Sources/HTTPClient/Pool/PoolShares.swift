/// Divides the places of a pool among the classes of traffic.
///
/// Each class has an eighth to itself, and all compete for the rest, so that no class can ever stop another one. A pool
/// of fewer than eight places gives each class one if it can, and else keeps the last place from the class that has
/// all others.
package struct PoolShares: Sendable {
    /// All places.
    package let places: Int
    private let reserved: Int
    private var taken = [Int](repeating: 0, count: TrafficClass.allCases.count)

    /// Divides so many places, at least one.
    package init(places: Int) {
        self.places = max(1, places)
        self.reserved = places >= 8 ? places / 8 : places > TrafficClass.allCases.count ? 1 : 0
    }

    /// Places that are taken.
    package var takenPlaces: Int { self.taken.reduce(0, +) }

    /// Whether a request of a class may have a place now.
    package func admits(_ traffic: TrafficClass) -> Bool {
        guard self.reserved > 0 else {
            return self.takenPlaces < self.places
                && (self.places == 1 || self.taken[traffic.rawValue] < self.places - 1)
        }
        if self.taken[traffic.rawValue] < self.reserved { return true }
        let shared = self.taken.reduce(0) { $0 + max(0, $1 - self.reserved) }
        return shared < self.places - self.reserved * self.taken.count
    }

    /// Gives a place to an admitted request.
    package mutating func take(_ traffic: TrafficClass) {
        self.taken[traffic.rawValue] += 1
        assert(self.takenPlaces <= self.places)
    }

    /// Takes a place back.
    package mutating func giveBack(_ traffic: TrafficClass) {
        self.taken[traffic.rawValue] -= 1
        assert(self.taken[traffic.rawValue] >= 0)
    }
}
