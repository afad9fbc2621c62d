import DexatelAPI
import Foundation
import ResponseCache
import TestSupport
import Testing

@Suite struct OverlayModelTests {
    private struct Case {
        var changes: [PendingChange] = []
        var updates: [[(name: String, value: String)]] = []
        var isDeleted = false
        var pendingCount: Int { changes.count { !$0.isDelivered } }
    }

    private func randomCase(deletes: Bool, using random: inout SeededGenerator) -> Case {
        var result = Case()
        for sequence in 0..<Int64.random(in: 1...4, using: &random) {
            let isDelivered = random.chance(oneIn: 4)
            let update = ModelContact.randomUpdate(using: &random)
            result.updates.append(update.fields)
            result.changes.append(Overlay.put(sequence, update.text, delivered: isDelivered))
        }
        if deletes {
            result.isDeleted = true
            result.changes.append(Overlay.delete(99, delivered: random.chance(oneIn: 2)))
        }
        result.changes.shuffle(using: &random)
        return result
    }

    /// The contact's members after the updates, by Foundation's reading alone.
    private func expectedMembers(
        _ base: String,
        _ updates: [[(name: String, value: String)]],
        _ semantics: PutSemantics
    ) throws -> NSDictionary {
        let before = try #require(Overlay.object(base.utf8))
        var members = try #require(before as? [String: Any])
        for update in updates {
            for field in update where field.name != "id" && field.name != "audience_id" {
                members[field.name] = try Overlay.value(field.value)
            }
            if semantics == .replace {
                let names = Set(update.map(\.name))
                for (name, other) in [
                    ("first_name", ""), ("last_name", ""), ("timestamp", "custom1"), ("custom1", "timestamp"),
                    ("date", "custom2"), ("custom2", "date"),
                ] where !names.contains(name) && !names.contains(other) {
                    members[name] = before[name] == nil ? nil : NSNull()
                }
            }
        }
        return members as NSDictionary
    }

    @Test func `a contact is what the model says, to the byte`() throws {
        var random = SeededGenerator("overlay of contacts")
        var changed = 0
        for _ in 0..<1200 {
            var contact = ModelContact(id: Overlay.contact.contact, using: &random)
            let (front, back) = (random.space() + #"{"x":{"data":[1]},"data" :"#, #","links":{}}"# + random.space())
            let base = contact.text
            let semantics = random.pick(PutSemantics.allCases)
            let change = randomCase(deletes: false, using: &random)
            let members = try expectedMembers(base, change.updates, semantics)
            for update in change.updates { contact.apply(update, semantics) }

            let bytes = Array((front + base + back).utf8)
            switch Overlay.render(bytes, change.changes, semantics) {
            case .replaced(let body, let pendingCount, let isPartial):
                changed += 1
                let text = String(decoding: body, as: UTF8.self)
                #expect(text == front + contact.text + back, "seed \(random.seed)")
                #expect(Overlay.object(body)?["data"] as? NSDictionary == members, "\(text), seed \(random.seed)")
                #expect(pendingCount == change.pendingCount && isPartial == (semantics == .unknown))
            case .unchanged:
                #expect(contact.text == base && change.pendingCount == 0, "seed \(random.seed)")
            case let other:
                Issue.record("\(other) for \(base), seed \(random.seed)")
            }
        }
        #expect(changed > 500)
    }

    @Test func `a list is what the model says, to the byte`() throws {
        var random = SeededGenerator("overlay of lists")
        var removed = 0
        for _ in 0..<250 {
            let semantics = random.pick(PutSemantics.allCases)
            var base: [String] = []
            var expected: [String?] = []
            var changes: [UInt128: [PendingChange]] = [:]
            var pendingCount = 0
            for id in 1...UInt128.random(in: 1...8, using: &random) {
                var contact = ModelContact(id: id, using: &random)
                base.append(contact.text)
                if !random.chance(oneIn: 3) {
                    let change = randomCase(deletes: random.chance(oneIn: 3), using: &random)
                    changes[id] = change.changes
                    if contact.isIdentified {
                        for update in change.updates { contact.apply(update, semantics) }
                        pendingCount += change.pendingCount
                        if change.isDeleted { removed += 1 }
                    }
                    expected.append(change.isDeleted && contact.isIdentified ? nil : contact.text)
                } else {
                    expected.append(contact.text)
                }
            }
            let comma = random.space() + "," + random.space()
            let (front, back) = (#"{"pagination":{"total":9},"data": ["# + random.space(), random.space() + "]}\n")
            let before = front + base.joined(separator: comma) + back
            let after = front + expected.compactMap { $0 }.joined(separator: comma) + back
            switch Overlay.renderList(before, changes, semantics) {
            case .replaced(let body, let count):
                #expect(String(decoding: body, as: UTF8.self) == after, "seed \(random.seed)")
                #expect(count == pendingCount, "seed \(random.seed)")
                let list = try #require(Overlay.object(body)?["data"] as? [Any])
                #expect(list.count == expected.count { $0 != nil }, "seed \(random.seed)")
            case .unchanged:
                #expect(before == after && pendingCount == 0, "seed \(random.seed)")
            case .notApplicable:
                Issue.record("\(before), seed \(random.seed)")
            }
        }
        #expect(removed > 50)
    }

    @Test func `replies bring the base to what the model says`() throws {
        var random = SeededGenerator("overlay of replies")
        for _ in 0..<400 {
            let base = ModelContact(id: 1, using: &random).text
            let reply = ModelContact(id: 1, using: &random).text
            let text = try #require(Overlay.applyReply(#"{"data":\#(base)}"#, #"{"links":{},"data":\#(reply)}"#))
            var members = try #require(Overlay.object(base.utf8) as? [String: Any])
            members.merge(try #require(Overlay.object(reply.utf8) as? [String: Any])) { $1 }
            #expect(
                Overlay.object(text.utf8)?["data"] as? NSDictionary == members as NSDictionary,
                "seed \(random.seed)"
            )
        }
    }

    @Test func `mutated bodies never trap, and what comes of them is JSON`() {
        var random = SeededGenerator("overlay of mutations")
        let alphabet = Array("{}[]:,\"\\u0 1d-.eatn\u{1}".utf8) + [0x00, 0xC3, 0xED, 0xFF]
        var rendered = 0
        var refused = 0
        for _ in 0..<2500 {
            let isList = random.chance(oneIn: 2)
            let contact = ModelContact(id: Overlay.contact.contact, using: &random).text
            var body = Array((isList ? #"{"data":[\#(contact),\#(contact)]}"# : #"{"data":\#(contact)}"#).utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) where !body.isEmpty {
                let index = Int.random(in: 0..<body.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: body[index] = random.pick(alphabet)
                case 1: body.insert(random.pick(alphabet), at: index)
                case 2: body.remove(at: index)
                default: body.removeSubrange(index..<min(body.count, index + 5))
                }
            }
            let change = [Overlay.put(1, ModelContact.randomUpdate(using: &random).text)]
            let deletes = random.chance(oneIn: 3)
            let result =
                isList
                ? body.withUnsafeBytes {
                    ContactListOverlay.render(
                        base: $0,
                        changes: [Overlay.contact.contact: deletes ? [Overlay.delete(1)] : change],
                        semantics: .replace
                    )
                }.body : Overlay.render(body, change, .replace).body
            if let result {
                rendered += 1
                #expect(Overlay.isJSONObject(result), "\(String(decoding: body, as: UTF8.self)), seed \(random.seed)")
            } else {
                refused += 1
            }
        }
        #expect(rendered > 200 && refused > 200)
    }
}

extension ContactOverlay.Result {
    /// What was rendered, if anything was.
    fileprivate var body: [UInt8]? {
        if case .replaced(let body, _, _) = self { body } else { nil }
    }
}

extension ContactListOverlay.Result {
    /// What was rendered, if anything was.
    fileprivate var body: [UInt8]? {
        if case .replaced(let body, _) = self { body } else { nil }
    }
}
