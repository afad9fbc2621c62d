import DexatelAPI
import Testing

@testable import dexatel_simulator

@Suite("Contacts")
struct SimulatorStateTests {
    @Test("an update changes what it names and tells the whole contact")
    func update() {
        var state = Samples.state()
        let body = #"{"data":{"first_name":"Ada","custom1":"c","tags":["a","b"],"colour":"red"}}"#
        let reply = state.handle(Samples.request("PUT", Samples.contactPath, body))
        #expect(reply.status == 200)
        #expect(reply.isApplied)
        #expect(reply.data?["first_name"]?.string == "Ada")
        #expect(reply.data?["last_name"]?.string == "Last 0")
        #expect(reply.data?["custom1"]?.string == "c")
        #expect(reply.data?["tags"] == .array([.string("a"), .string("b")]))
        #expect(reply.data?["colour"] == nil)
        #expect(reply.data?["create_date"]?.string == "2024-01-01 00:00:00")
        #expect(reply.data?["update_date"]?.string == "2026-01-02 03:04:05")
        #expect(reply.data?["links"]?["self"]?.string == "http://upstream.test" + Samples.contactPath)
        let read = state.handle(Samples.request("GET", Samples.contactPath))
        #expect(read.body == reply.body)
        #expect(!read.isApplied)
    }

    @Test("under merge what is left out stays, under replace it is cleared but for the number; null clears")
    func putSemantics() {
        let body = #"{"data":{"first_name":"Ada","date":null}}"#
        var merging = Samples.state()
        let merged = merging.handle(Samples.request("PUT", Samples.contactPath, body)).data
        #expect(merged?["last_name"]?.string == "Last 0")
        #expect(merged?["date"] == nil)
        var replacing = Samples.state { $0.putSemantics = .replace }
        let replaced = replacing.handle(Samples.request("PUT", Samples.contactPath, body)).data
        #expect(replaced?["first_name"]?.string == "Ada")
        #expect(replaced?["last_name"] == nil)
        #expect(replaced?["number"]?.string == "37400000000")
    }

    @Test("an identifier in capitals or with octets names the same contact")
    func spelling() {
        var state = Samples.state()
        let capitals = Samples.listPath + "/" + Samples.contact.uppercased()
        #expect(state.handle(Samples.request("GET", capitals)).status == 200)
        let octets = Samples.contactPath.replacing("-", with: "%2D")
        #expect(state.handle(Samples.request("GET", octets)).status == 200)
    }

    @Test("an unknown contact springs into being only where that was asked for")
    func createsOnPut() {
        var state = Samples.state { $0.createsOnPut = true }
        let body = #"{"data":{"first_name":"New"}}"#
        #expect(state.handle(Samples.request("PUT", Samples.unknownPath, body)).status == 200)
        #expect(state.handle(Samples.request("GET", Samples.unknownPath)).data?["first_name"]?.string == "New")
    }

    @Test("a created contact can be read, and its number is free again once it is deleted")
    func createAndDelete() throws {
        var state = Samples.state()
        let create = Samples.request("POST", Samples.listPath, #"{"data":{"number":"+4917012345"}}"#)
        let created = state.handle(create)
        #expect(created.status == 201)
        #expect(created.isApplied)
        let path = Samples.listPath + "/" + (try #require(created.data?["id"]?.string))
        #expect(state.handle(Samples.request("GET", path)).status == 200)
        #expect(state.handle(create).errorCode == 1360)
        let deleted = state.handle(Samples.request("DELETE", path))
        #expect(deleted.status == 204)
        #expect(deleted.isApplied)
        #expect(deleted.body.isEmpty)
        #expect(state.handle(Samples.request("DELETE", path)).errorCode == 1351)
        #expect(state.handle(create).status == 201)
    }

    @Test("a number that another contact has is refused to an update, too")
    func renumbering() {
        var state = Samples.state()
        let taken = Samples.request("PUT", Samples.contactPath, #"{"data":{"number":"37400000001"}}"#)
        #expect(state.handle(taken).errorCode == 1360)
        let free = Samples.request("PUT", Samples.contactPath, #"{"data":{"number":"5"}}"#)
        #expect(state.handle(free).status == 200)
        let old = Samples.request("POST", Samples.listPath, #"{"data":{"number":"37400000000"}}"#)
        #expect(state.handle(old).status == 201)
    }

    @Test("pages cover a list without gaps, in order, also after a deletion")
    func paging() throws {
        var state = Samples.state { $0.seedContactCount = 25 }
        _ = state.handle(Samples.request("DELETE", Samples.contactPath))
        var target: String? = Samples.listPath + "?page_size=10"
        var names: [String] = []
        var numbers: [Int] = []
        while let next = target {
            let json = try #require(state.handle(Samples.request("GET", next)).json)
            names += try #require(json["data"]?.elements).compactMap { $0["first_name"]?.string }
            let pagination = try #require(json["pagination"])
            numbers.append(try #require(pagination["number"]?.integer))
            #expect(pagination["total"]?.integer == 24)
            #expect(pagination["size"]?.integer == 10)
            #expect((pagination["links"]?["previous"] == nil) == (numbers.count == 1))
            target = pagination["links"]?["next"]?.string.map { String($0.dropFirst("http://upstream.test".count)) }
        }
        #expect(names == (1..<25).map { "First \($0)" })
        #expect(numbers == [1, 2, 3])
        #expect(state.handle(Samples.request("GET", Samples.listPath + "/" + Samples.contact)).status == 404)
    }

    @Test("a search finds parts of names and numbers in any case, and its pages keep it")
    func search() {
        var state = Samples.state { $0.seedContactCount = 25 }
        let target = Samples.listPath + "?filter%5Bsearch%5D=fIRST+1&page_size=5"
        let json = state.handle(Samples.request("GET", target)).json
        #expect(json?["pagination"]?["total"]?.integer == 11)
        #expect(json?["data"]?.elements?.count == 5)
        #expect(json?["pagination"]?["links"]?["next"]?.string?.contains("filter%5Bsearch%5D=fIRST%201") == true)
    }

    @Test("audiences are listed and messages taken")
    func otherFamilies() {
        var state = Samples.state()
        let audiences = state.handle(Samples.request("GET", "/v1/audiences"))
        #expect(audiences.data?[0]?["id"]?.string == Samples.audience)
        #expect(state.handle(Samples.request("GET", "/v1/audiences/\(Samples.audience)")).status == 200)
        let first = state.handle(Samples.request("POST", "/v1/messages", #"{"data":{"text":"hi"}}"#))
        let second = state.handle(Samples.request("POST", "/v1/messages", #"{"data":{"text":"hi"}}"#))
        #expect(first.status == 202)
        #expect(first.data?["id"]?.string?.count == 36)
        #expect(first.data?["id"] != second.data?["id"])
    }

    @Test("replies to GET carry validators and freshness where they were asked for, and 304 answers a match")
    func validators() throws {
        var state = Samples.state {
            $0.sendsETags = true
            $0.cacheControl = "max-age=5"
        }
        let reply = state.handle(Samples.request("GET", Samples.contactPath))
        let tag = try #require(reply.value(of: "ETag"))
        #expect(reply.value(of: "Cache-Control") == "max-age=5")
        for held in [tag, "W/\(tag)", "\"x\", \(tag)", "*"] {
            let again = state.handle(Samples.request("GET", Samples.contactPath, ifNoneMatch: held))
            #expect(again.status == 304)
            #expect(again.body.isEmpty)
            #expect(again.value(of: "ETag") == tag)
        }
        _ = state.handle(Samples.request("PUT", Samples.contactPath, #"{"data":{"date":"x"}}"#))
        let changed = state.handle(Samples.request("GET", Samples.contactPath, ifNoneMatch: tag))
        #expect(changed.status == 200)
        #expect(changed.value(of: "ETag") != tag)
        var plain = Samples.state()
        #expect(plain.handle(Samples.request("GET", Samples.contactPath)).value(of: "ETag") == nil)
    }

    @Test("seeded contacts have the same identifiers in every run, none twice")
    func seeds() {
        let ids = (0..<1000).map { DerivedIdentifier.seeded($0, in: SimulatorSettings.seedAudience) }
        #expect(ids[0] == SimulatorSettings.seedContact)
        #expect(Set(ids).count == 1000)
        let state = Samples.state { $0.seedContactCount = 1000 }
        #expect(ids.allSatisfy { state.audiences[SimulatorSettings.seedAudience]?[$0] != nil })
    }

    @Test("text is escaped so that it comes back as it went in")
    func escaping() {
        var state = Samples.state()
        let body = #"{"data":{"first_name":"\"\\\n\u0001é😀/"}}"#
        let reply = state.handle(Samples.request("PUT", Samples.contactPath, body))
        #expect(reply.data?["first_name"]?.string == "\"\\\n\u{1}é😀/")
    }

    @Test(
        "Date is written as RFC 9110 has it",
        arguments: [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
        ]
    )
    func date(_ seconds: Int64, _ text: String) {
        #expect(CalendarTime(seconds: seconds).imfFixdate == text)
    }
}
