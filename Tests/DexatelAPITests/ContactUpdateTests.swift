import DexatelAPI
import Testing

@Suite struct ContactUpdateTests {
    private func fault(_ text: String, limits: ContactFieldLimits = ContactFieldLimits()) -> ContactUpdateFault? {
        do throws(ContactUpdateFault) {
            _ = try ContactUpdate.check(Array(text.utf8), limits: limits)
            return nil
        } catch {
            return error
        }
    }

    /// Names and raw values of the members of `data`.
    private func members(_ text: String) throws -> [[String]] {
        let body = Array(text.utf8)
        return try ContactUpdate.check(body).members.map { [$0.name, String(decoding: body[$0.value], as: UTF8.self)] }
    }

    @Test func `the members of data are found in their order, where they lie`() throws {
        let text =
            #" {"x":[1],"data" : { "last_name" : "L\u00e9" ,"first_name":null,"custom1":{"a":[1, 2]},"number":-1.5e3 },"y":0} "#
        #expect(
            try members(text) == [
                ["last_name", #""L\u00e9""#], ["first_name", "null"], ["custom1", #"{"a":[1, 2]}"#],
                ["number", "-1.5e3"],
            ]
        )
        #expect(
            try ContactUpdate.check(Array(text.utf8)).fieldNames == ["last_name", "first_name", "custom1", "number"]
        )
    }

    @Test(arguments: ["{}", #"{"data":{}}"#, #"{"other":1}"#, #"{"a":{"data":{"first_name":1}}}"#, #"{"Data":1}"#])
    func `data may be absent or empty`(text: String) throws {
        #expect(try members(text).isEmpty)
    }

    @Test func `escaped names are the names they stand for`() throws {
        #expect(
            try members(#"{"d\u0061ta":{"\u0066irst_name":"x","\ud83d\ude00\n":"y"}}"#)
                == [["first_name", #""x""#], ["😀\n", #""y""#]]
        )
        #expect(fault(#"{"d\u0061ta":{"first\u005Fname":1}}"#) == .fieldNotAString(.firstName))
        #expect(fault(#"{"d\u0061ta":1}"#) == .dataNotAnObject)
    }

    @Test func `data that is nested elsewhere is not judged`() throws {
        #expect(try members(#"{"x":{"data":1},"data":{"data":{"first_name":1}}}"#) == [["data", #"{"first_name":1}"#]])
    }

    @Test(arguments: ["[]", "1", "\"x\"", "null", "true", " [{}] "])
    func `another value than an object at the top is refused`(text: String) {
        #expect(fault(text) == .notAnObject)
    }

    @Test(arguments: ["null", "1", "\"x\"", "[]", "[{}]", "true", "false"])
    func `data that is no object is refused`(value: String) {
        #expect(fault(#"{"data":\#(value)}"#) == .dataNotAnObject)
    }

    @Test(arguments: ContactField.allCases, ["1", "true", "false", "[]", "{}", "1.5"])
    func `a known field is a string or null`(field: ContactField, value: String) {
        #expect(fault(#"{"data":{"\#(field.rawValue)":\#(value)}}"#) == .fieldNotAString(field))
        #expect(fault(#"{"data":{"\#(field.rawValue)x":\#(value)}}"#) == nil)
        #expect(fault(#"{"\#(field.rawValue)":\#(value)}"#) == nil)
        #expect(fault(#"{"data":{"\#(field.rawValue)":null}}"#) == nil)
        #expect(fault(#"{"data":{"\#(field.rawValue)":""}}"#) == nil)
    }

    @Test(arguments: ContactField.allCases, ["a", "é", "😀", #"\n"#, #"\u00e9"#, #"\ud83d\ude00"#, "e\u{301}"])
    func `lengths are counted in scalars of the unescaped string`(field: ContactField, unit: String) {
        let limits = ContactFieldLimits()
        let scalars = unit.hasPrefix("\\") ? 1 : unit.unicodeScalars.count
        let fitting = limits[field] / scalars
        func body(_ count: Int) -> String {
            #"{"data":{"\#(field.rawValue)":"\#(String(repeating: unit, count: count))"}}"#
        }
        #expect(fault(body(fitting)) == nil)
        #expect(fault(body(fitting + 1)) == .fieldTooLong(field, limit: limits[field]))
    }

    @Test func `limits are the operator's where set, and bind known fields of data alone`() {
        let limits = ContactFieldLimits(firstName: 1, lastName: 2, timestamp: 3, date: 4)
        #expect(
            fault(#"{"data":{"first_name":"1","last_name":"12","timestamp":"123","date":"1234"}}"#, limits: limits)
                == nil
        )
        #expect(fault(#"{"data":{"date":"12345"}}"#, limits: limits) == .fieldTooLong(.date, limit: 4))
        #expect(fault(#"{"data":{"custom1":"12345"},"date":"12345"}"#, limits: limits) == nil)
        #expect(ContactFieldLimits() == ContactFieldLimits(firstName: 32, lastName: 32, timestamp: 32, date: 70))
    }

    @Test func `the graver fault is told first, wherever it stands`() {
        let long = String(repeating: "a", count: 33)
        #expect(fault(#"{"data":{"first_name":"\#(long)","date":1}}"#) == .fieldNotAString(.date))
        #expect(fault(#"{"data":{"first_name":1,"date":2}}"#) == .fieldNotAString(.firstName))
        #expect(
            fault(#"{"data":{"last_name":"\#(long)","first_name":"\#(long)"}}"#) == .fieldTooLong(.lastName, limit: 32)
        )
        #expect(fault(#"{"data":1,"x":1,"x":2}"#) == .duplicateMember("x"))
        #expect(
            fault(#"{"data":{"first_name":1}"#)
                == .malformed(offset: 24, reason: "comma or closing brace expected, but the text ends")
        )
        #expect(fault("[1") == .malformed(offset: 2, reason: "comma or closing bracket expected, but the text ends"))
    }

    @Test(arguments: [
        ("", 0), (" ", 1), ("{", 1), (#"{"a":01}"#, 6), (#"{"a":tru}"#, 8), (#"{"a":1}}"#, 7), (#"{"a" 1}"#, 5),
        ("{a:1}", 1),
        (#"{"a":"\x"}"#, 7), (#"{"a":"\ud800"}"#, 6), ("\u{feff}{}", 0), (#"{"a":1,}"#, 7), (#"{"a":"b"#, 7),
    ])
    func `a malformed body is refused with the byte at fault`(text: String, offset: Int) {
        guard case .malformed(let found, let reason) = fault(text) else {
            Issue.record("\(text) was not refused as malformed")
            return
        }
        #expect(found == offset)
        #expect(!reason.isEmpty)
    }

    @Test func `faults have the upstream's code and message where there is one, and never a value`() {
        let expected: [(ContactField, Int, String)] = [
            (.firstName, 1361, "First name is too long"), (.lastName, 1362, "Last name is too long"),
            (.timestamp, 1363, "Timestamp value is too long"), (.date, 1364, "Date value is too long"),
        ]
        for (field, code, message) in expected {
            let fault = ContactUpdateFault.fieldTooLong(field, limit: 1)
            #expect(fault.code?.rawValue == code)
            #expect(fault.message == message)
            #expect(ContactUpdateFault.fieldNotAString(field).code == nil)
            #expect(ContactUpdateFault.fieldNotAString(field).message.contains("data.\(field.rawValue)"))
        }
        #expect(ContactUpdateFault.dataNotAnObject.message.contains("'data'"))
        #expect(ContactUpdateFault.notAnObject.message.contains("object"))
        #expect(ContactUpdateFault.tooDeep.message.contains("64"))
        #expect(
            ContactUpdateFault.malformed(offset: 17, reason: "colon expected").message.contains(
                "colon expected at byte 17"
            )
        )
        #expect(ContactUpdateFault.duplicateMember("twin").message.contains("'twin'"))
        #expect(ContactUpdateFault.duplicateMember(String(repeating: "n", count: 65_536)).message.utf8.count < 200)
        for text in [#"{"a":"SECRET" x}"#, #"{"a":SECRET}"#, #"{"data":"SECRET"}"#, #"{"data":{"date":["SECRET"]}}"#] {
            #expect(fault(text)?.message.contains("SECRET") == false)
            #expect(fault(text)?.code == nil)
        }
    }
}
