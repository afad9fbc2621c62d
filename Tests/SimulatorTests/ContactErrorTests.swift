import DexatelAPI
import Testing

@testable import dexatel_simulator

@Suite("Documented errors")
struct ContactErrorTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let code: DexatelErrorCode
        let method: String
        let target: String
        let body: String
        var testDescription: String { "\(code.rawValue) \(method)" }
    }

    static let cases: [Case] = [
        Case(code: .contactNotFound, method: "GET", target: Samples.unknownPath, body: ""),
        Case(code: .contactNotFound, method: "PUT", target: Samples.unknownPath, body: "{}"),
        Case(code: .contactNotFound, method: "DELETE", target: Samples.unknownPath, body: ""),
        Case(code: .invalidContactIdentifier, method: "PUT", target: Samples.listPath + "/12", body: "{}"),
        Case(
            code: .invalidContactIdentifier,
            method: "GET",
            target: "/v1/audiences/x/contacts/\(Samples.contact)",
            body: ""
        ),
        Case(code: .numberRequired, method: "POST", target: Samples.listPath, body: #"{"data":{}}"#),
        Case(code: .numberRequired, method: "POST", target: Samples.listPath, body: #"{"data":{"number":null}}"#),
        Case(code: .numberInvalid, method: "POST", target: Samples.listPath, body: #"{"data":{"number":"12a"}}"#),
        Case(code: .numberInvalid, method: "POST", target: Samples.listPath, body: #"{"data":{"number":"+"}}"#),
        Case(code: .numberTooLong, method: "POST", target: Samples.listPath, body: field("number", 46, "1")),
        Case(
            code: .tooManyTags,
            method: "POST",
            target: Samples.listPath,
            body: #"{"data":{"number":"1","tags":["1","2","3","4","5","6","7","8","9","10","11"]}}"#
        ),
        Case(
            code: .contactAlreadyExists,
            method: "POST",
            target: Samples.listPath,
            body: #"{"data":{"number":"37400000001"}}"#
        ),
        Case(code: .firstNameTooLong, method: "PUT", target: Samples.contactPath, body: field("first_name", 33)),
        Case(code: .lastNameTooLong, method: "PUT", target: Samples.contactPath, body: field("last_name", 33)),
        Case(code: .timestampTooLong, method: "PUT", target: Samples.contactPath, body: field("timestamp", 33)),
        Case(code: .timestampTooLong, method: "PUT", target: Samples.contactPath, body: field("custom1", 33)),
        Case(code: .dateTooLong, method: "PUT", target: Samples.contactPath, body: field("date", 71)),
        Case(code: .dateTooLong, method: "PUT", target: Samples.contactPath, body: field("custom2", 71)),
    ]

    static func field(_ name: String, _ count: Int, _ character: String = "é") -> String {
        #"{"data":{"\#(name)":"\#(String(repeating: character, count: count))"}}"#
    }

    @Test("every code comes with its status and message, and nothing is applied", arguments: cases)
    func everyCode(_ sample: Case) {
        var state = Samples.state()
        let before = state.audiences[SimulatorSettings.seedAudience]?[SimulatorSettings.seedContact]
        let reply = state.handle(Samples.request(sample.method, sample.target, sample.body))
        let error = reply.json?["errors"]?[0]
        #expect(reply.status == sample.code.status)
        #expect(reply.errorCode == sample.code.rawValue)
        #expect(error?["message"]?.string == sample.code.message)
        #expect(error?["status"]?.integer == sample.code.status)
        #expect(error?["method"]?.string == sample.method)
        #expect(error?["path"]?.string == sample.target)
        #expect(error?["timestamp"]?.string == "2026-01-02 03:04:05")
        #expect(!reply.isApplied)
        #expect(state.audiences[SimulatorSettings.seedAudience]?[SimulatorSettings.seedContact] == before)
        #expect(state.contactCount == 3)
    }

    @Test("all documented codes are covered")
    func allCodes() {
        #expect(Set(Self.cases.map(\.code)) == Set(DexatelErrorCode.allCases))
    }

    @Test(
        "values at their limits are taken",
        arguments: [("first_name", 32), ("last_name", 32), ("timestamp", 32), ("date", 70)]
    )
    func atTheLimit(_ name: String, _ count: Int) {
        var state = Samples.state()
        let reply = state.handle(Samples.request("PUT", Samples.contactPath, Self.field(name, count)))
        #expect(reply.status == 200)
        #expect(reply.data?[name]?.string?.unicodeScalars.count == count)
    }

    @Test(
        "what has no code is refused with code 0",
        arguments: [
            ("PUT", Samples.contactPath, "{", 400), ("PUT", Samples.contactPath, "", 400),
            ("PUT", Samples.contactPath, "[]", 400), ("PUT", Samples.contactPath, #"{"data":1}"#, 400),
            ("PUT", Samples.contactPath, #"{"data":{"date":5}}"#, 400),
            ("PATCH", Samples.contactPath, "{}", 405), ("DELETE", Samples.listPath, "", 405),
            ("GET", "/v1/messages", "", 405), ("GET", "/v1/nothing", "", 404), ("GET", "/", "", 404),
            ("GET", Samples.contactPath + "/", "", 404),
            ("GET", "/v1/audiences/" + Samples.unknown, "", 404),
            ("GET", Samples.listPath + "?page_size=0", "", 400),
            ("GET", Samples.listPath + "?page_token=nonsense", "", 400),
            ("GET", "/" + String(repeating: "a", count: 8192), "", 414),
        ]
    )
    func withoutCode(_ method: String, _ target: String, _ body: String, _ status: Int) {
        var state = Samples.state()
        let reply = state.handle(Samples.request(method, target, body))
        #expect(reply.status == status)
        #expect(reply.errorCode == 0)
    }

    @Test("405 names the methods that there are")
    func allow() {
        var state = Samples.state()
        let reply = state.handle(Samples.request("PATCH", Samples.contactPath, "{}"))
        #expect(reply.value(of: "Allow") == "GET, HEAD, PUT, DELETE")
    }

    @Test("the media type is looked at before the size, and both before the JSON")
    func mediaTypeAndSize() {
        var state = Samples.state()
        let path = Samples.contactPath
        let wrongType = Samples.request("PUT", path, "{", contentType: "text/plain", isBodyTooLarge: true)
        #expect(state.handle(wrongType).status == 415)
        #expect(state.handle(Samples.request("PUT", path, "{", isBodyTooLarge: true)).status == 413)
        let withParameter = Samples.request("PUT", path, "{}", contentType: "Application/JSON; charset=utf-8")
        #expect(state.handle(withParameter).status == 200)
    }

    @Test("keys are asked for before anything else")
    func keys() {
        var state = Samples.state {
            $0.knownKeys = ["good", "barred"]
            $0.forbiddenKeys = ["barred"]
        }
        func status(_ key: String?, _ target: String = Samples.contactPath) -> Int {
            state.handle(Samples.request("GET", target, key: key)).status
        }
        #expect(status(nil) == 401)
        #expect(status("") == 401)
        #expect(status("other") == 401)
        #expect(status("barred") == 403)
        #expect(status("good") == 200)
        #expect(status(nil, "/nowhere") == 401)
    }
}
