import DexatelAPI
import ResponseCache
import Testing

@testable import ProxyServer

/// Which of two replies to the same request is newer, when both are under way at a time.
@Suite("Order of flights")
struct FlightOrderTests {
    private let table = FlightTable()
    private let key = CacheKey(partition: .shared, target: "/v1/a")

    private func flights(_ count: Int) -> [Flight] {
        let cache = MemoryCache(CacheConfiguration())
        return (0..<count).map { _ in
            let flight = Flight(token: cache.fetchToken(key))
            table.add(flight, key)
            return flight
        }
    }

    @Test("a reply is newer if its request went out later, whichever was asked for first")
    func sentLater() {
        let flights = flights(2)
        flights[1].noteSent(1)
        flights[0].noteSent(2)
        table.noteStored(flights[1], key)
        #expect(!flights[0].isOvertaken)
        table.noteStored(flights[0], key)
        #expect(flights[1].isOvertaken)
    }

    @Test("a request that goes out once more, on a fresh connection, counts from then on")
    func sentAgain() {
        let flights = flights(2)
        flights[0].noteSent(1)
        flights[1].noteSent(2)
        table.noteStored(flights[1], key)
        #expect(flights[0].isOvertaken)
        flights[0].noteSent(3)
        #expect(!flights[0].isOvertaken && flights[0].sentMilliseconds == 3)
    }

    @Test("a flight whose request has not gone out yet is not overtaken once it has")
    func notSentYet() {
        let flights = flights(2)
        flights[1].noteSent(1)
        table.noteStored(flights[1], key)
        flights[0].noteSent(2)
        #expect(!flights[0].isOvertaken)
    }
}
