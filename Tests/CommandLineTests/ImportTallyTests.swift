import Testing

@testable import contact_relay

@Suite struct ImportTallyTests {
    @Test func `what was taken is known at each moment, and what is not known is said`() {
        var tally = ImportTally()
        #expect(tally.report(.refused) == "no write was taken; from line 1 on none was")
        #expect(tally.report(.unknown) == "no write was taken; from line 1 on none was")
        tally.begin(2, lines: 1...3)
        #expect(tally.report(.refused) == "no write was taken; from line 1 on none was")
        #expect(tally.report(.unknown).hasPrefix("no write was taken; whether lines 1 to 3 were is not known"))
        tally.commit()
        #expect(tally.report(.unknown) == "2 writes were taken, up to line 3; from line 4 on none was")
        tally.begin(1, lines: 4...4)
        #expect(tally.report(.refused) == "2 writes were taken, up to line 3; from line 4 on none was")
        #expect(tally.report(.unknown).contains("whether lines 4 to 4 were is not known"))
        tally.commit()
        #expect(tally.taken == 3)
    }
}
