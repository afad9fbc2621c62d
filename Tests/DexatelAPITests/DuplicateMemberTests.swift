import DexatelAPI
import TestSupport
import Testing

@Suite struct DuplicateMemberTests {
    private func fault(_ text: String) -> ContactUpdateFault? {
        do throws(ContactUpdateFault) {
            _ = try ContactUpdate.check(Array(text.utf8))
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [
        (#"{"a":1,"a":1}"#, "a"), (#"{"a":1,"\u0061":1}"#, "a"), (#"{"\u0061":1,"a":1}"#, "a"),
        (#"{"\u0061":1,"\u0061":1}"#, "a"),
        (#"{"":1,"":2}"#, ""), (#"{"é":1,"\u00e9":2}"#, "é"), (#"{"😀":1,"\ud83d\ude00":2}"#, "😀"),
        (#"{"/":1,"\/":2}"#, "/"),
        (#"{"data":{},"data":{}}"#, "data"), (#"{"data":{"x":1,"y":2,"x":3}}"#, "x"),
        (#"{"z":[{"q":{"a":0,"b":0,"a":0}}]}"#, "a"),
        (#"{"\n":1,"\u000A":2}"#, "\n"), (#"{"a\u0000b":1,"a\u0000b":2}"#, "a\u{0}b"),
    ])
    func `a name that is in one object twice is refused, however it is written`(text: String, name: String) {
        #expect(fault(text) == .duplicateMember(name))
    }

    @Test(arguments: [
        #"{"a":{"a":{"a":1}}}"#, #"{"a":1,"A":2}"#, #"{"x":[{"a":1},{"a":2}]}"#,
        #"{"\u0061":{"\u0061":1},"b":{"\u0061":1}}"#,
        #"{"a":1,"a ":2,"":3}"#, #"{"x":{"\u0062":1},"\u0063":{"\u0062":1},"b":2}"#, #"{"a":1,"\\u0061":2}"#,
        #"{"a\u0000b":1,"a\u0000c":2}"#,
    ])
    func `the same name in different objects is no duplicate`(text: String) {
        #expect(fault(text) == nil)
    }

    @Test func `names are compared as they are, not by what Unicode calls equivalent`() {
        #expect(fault("{\"\u{e9}\":1,\"e\u{301}\":2}") == nil)
    }

    @Test(arguments: [2, 15, 16, 17, 18, 33, 10_000]) func `any two of many names are found`(count: Int) {
        var random = SeededGenerator("many names")
        let names = (0..<count).map { "n\($0)" }
        func text(_ names: [String]) -> String {
            #"{"data":{"# + names.map { "\"\($0)\":0" }.joined(separator: ",") + "}}"
        }
        #expect(fault(text(names)) == nil)
        for _ in 0..<min(count, 20) {
            let original = names.randomElement(using: &random) ?? ""
            var changed = names.filter { $0 != original }.shuffled(using: &random)
            for spelling in [original, original.replacing("n", with: #"\u006e"#)] {
                changed.insert(spelling, at: Int.random(in: 0...changed.count, using: &random))
            }
            #expect(fault(text(changed)) == .duplicateMember(original), "seed \(random.seed)")
        }
    }

    @Test func `generated documents are refused exactly if a name was put in twice`() {
        var random = SeededGenerator("generated documents")
        var refused = 0
        for _ in 0..<3000 {
            var document = RandomDocument(duplicateOneIn: 40)
            let text = document.object(depth: 4, using: &random)
            let found = fault(text)
            if document.duplicates.isEmpty {
                #expect(found == nil, "\(text), seed \(random.seed)")
            } else if case .duplicateMember(let name) = found {
                refused += 1
                #expect(document.duplicates.contains(name), "\(text), seed \(random.seed)")
            } else {
                Issue.record("\(text) is \(String(describing: found)), seed \(random.seed)")
            }
        }
        #expect(refused > 0)
    }
}
