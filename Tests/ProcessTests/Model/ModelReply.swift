import Foundation
import NIOHTTP1

/// What the reply to a read says, and what is wrong with it whatever else has happened.
struct ModelReply {
    let answer: Answer
    let cacheStatus: String
    private(set) var findings: [String] = []

    init(_ answer: Answer) {
        self.answer = answer
        let lines = answer.headers[canonicalForm: "Cache-Status"].joined(separator: ", ")
        cacheStatus = lines
        if !lines.contains("contact-relay") { findings.append("\(answer.status) without Cache-Status") }
        if pending > 0 { checkPending() }
        let isOwnError = answer.headers.contains(name: "Contact-Relay-Error")
        if isOwnError, answer.status < 400 { findings.append("\(answer.status) with Contact-Relay-Error") }
        if answer.status == 504, lines.contains("unserved"), !isOwnError { findings.append("504 without a reason") }
        if answer.status == 200, !answer.headers.contains(name: "Via") { findings.append("200 without Via") }
    }

    /// Replies with writes laid over them have the relay's own validator, and no other.
    private mutating func checkPending() {
        guard answer.status == 200 || answer.status == 304 else { return }
        if answer.headers.first(name: "ETag")?.hasPrefix("\"relay-") != true {
            findings.append("\(pending) pending, and the ETag is \(answer.headers.first(name: "ETag") ?? "missing")")
        }
        if answer.headers.contains(name: "Last-Modified") { findings.append("pending, with Last-Modified") }
        if answer.status == 200, answer.headers.first(name: "Contact-Relay-Overlay") != "partial" {
            findings.append("\(pending) pending, and other fields are not called doubtful")
        }
    }

    var pending: Int { answer.headers.first(name: "Contact-Relay-Pending").flatMap { Int($0) } ?? 0 }

    /// Whether it says that it may be out of date: past its life, put in doubt, or in the place of a failure.
    var isMarkedStale: Bool {
        if cacheStatus.contains("fwd=stale") || cacheStatus.contains("detail=invalidated") { return true }
        guard let ttl = cacheStatus.firstMatch(of: /ttl=(-?[0-9]+)/).flatMap({ Int($0.1) }) else { return false }
        return ttl <= 0
    }

    /// The code of an error in the upstream's shape.
    var errorCode: Int? {
        let document = try? JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any]
        let errors = document?["errors"] as? [[String: Any]]
        return errors?.first?["code"] as? Int
    }

    func count(in tally: inout ModelTally) {
        if cacheStatus.contains("collapsed") { tally.collapsed += 1 }
        if pending > 0 { tally.withPending += 1 }
        switch answer.status {
        case 200, 304:
            if cacheStatus.contains("; hit") {
                if isMarkedStale { tally.stale += 1 } else { tally.fresh += 1 }
            } else {
                tally.fetched += 1
            }
            if answer.status == 304 { tally.notModified += 1 }
        case 401: tally.refused += 1
        case 404: tally.gone += 1
        case 504 where answer.headers.contains(name: "Contact-Relay-Error"): tally.unserved += 1
        default: tally.upstreamErrors += 1
        }
    }

    /// The contacts in a body, with the numbers of the writes that their fields show; none if it is no such body.
    static func contacts(_ body: [UInt8], isPage: Bool) -> [(id: String, values: [Int])] {
        let document = try? JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
        let items = isPage ? document?["data"] as? [[String: Any]] : (document?["data"] as? [String: Any]).map { [$0] }
        return (items ?? []).compactMap { item in
            guard let id = item["id"] as? String else { return nil }
            return (id, ModelWrite.fields.map { number(item[$0]) })
        }
    }

    private static func number(_ value: Any?) -> Int {
        guard let text = value as? String, text.hasPrefix("w"), let number = Int(text.dropFirst()) else {
            return ModelReading.initial
        }
        return number
    }
}
