import TestSupport

/// What the upstream does to requests for a while, as the simulator's control call takes it.
struct CrashWeather: Sendable {
    private enum Kind: CaseIterable {
        case calm, down, blackHole, slow, slowerThanPatience, serverError, tooManyRequests, refusal, conflict
        case notFound, foreignNotFound, revokedKey, forbidden, redirect, maintenancePage, garbage
        case resetAfterApply, resetMidReply, slowBody

        /// How often it is drawn, relative to the others.
        var weight: Int {
            switch self {
            case .calm: 5
            case .down, .slow, .serverError, .refusal, .resetAfterApply: 3
            case .blackHole, .tooManyRequests, .conflict, .notFound, .revokedKey: 2
            default: 1
            }
        }
    }

    /// Everything off, so that one call takes the place of whatever was before.
    private var members = [
        "mode": "\"up\"", "latency_ms": "0", "latency_jitter_ms": "0", "status": "null", "redirect": "null",
        "maintenance_page": "null", "garbage": "null", "reset_after_apply": "null", "reset_mid_reply": "null",
        "slow_body": "null",
    ]

    /// Draws one or two troubles, or none.
    init(using generator: inout SeededGenerator, contacts: [String]) {
        let kinds = Kind.allCases.flatMap { Array(repeating: $0, count: $0.weight) }
        for _ in 0...1 {
            guard let kind = kinds.randomElement(using: &generator) else { continue }
            add(kind, using: &generator, contacts: contacts)
            // Mostly one at a time, so that each is seen by itself, too.
            guard generator.chance(oneIn: 3) else { break }
        }
    }

    /// The body of the control call.
    var json: String { "{" + members.sorted { $0.key < $1.key }.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}" }

    private mutating func add(_ kind: Kind, using generator: inout SeededGenerator, contacts: [String]) {
        let count = Int.random(in: 1...12, using: &generator)
        switch kind {
        case .calm: break
        case .down: members["mode"] = "\"down\""
        case .blackHole: members["mode"] = "\"black-hole\""
        case .slow:
            members["latency_ms"] = "\(Int.random(in: 5...80, using: &generator))"
            members["latency_jitter_ms"] = "\(Int.random(in: 0...80, using: &generator))"
        case .slowerThanPatience: members["latency_ms"] = "\(CrashRun.requestTimeoutMilliseconds * 3 / 2)"
        case .serverError:
            let status = [500, 500, 502, 503, 504, 408, 425].randomElement(using: &generator) ?? 500
            members["status"] = #"{"status":\#(status)}"#
        case .tooManyRequests: members["status"] = #"{"status":429,"retry_after":"1","count":\#(count)}"#
        case .refusal: members["status"] = #"{"status":400,"code":1361,"count":\#(count)}"#
        case .conflict: members["status"] = #"{"status":409,"code":1360,"count":\#(count)}"#
        case .notFound: members["status"] = #"{"status":404,"code":1351,"count":\#(count),"method":"PUT"}"#
        case .foreignNotFound: members["status"] = #"{"status":404,"body":"<h1>no such site</h1>","count":\#(count)}"#
        case .revokedKey: members["status"] = #"{"status":401,"key":"\#(CrashWrite.Key.revocable.rawValue)"}"#
        case .forbidden:
            let contact = contacts.randomElement(using: &generator) ?? ""
            members["status"] = #"{"status":403,"contact":"\#(contact)","count":\#(count)}"#
        case .redirect: members["redirect"] = #"{"location":"http://127.0.0.1:1/","count":\#(count)}"#
        case .maintenancePage: members["maintenance_page"] = #"{"count":\#(count)}"#
        case .garbage: members["garbage"] = #"{"count":\#(count)}"#
        case .resetAfterApply: members["reset_after_apply"] = #"{"count":\#(count)}"#
        case .resetMidReply: members["reset_mid_reply"] = #"{"count":\#(count)}"#
        case .slowBody: members["slow_body"] = #"{"bytes_per_second":400,"count":\#(count)}"#
        }
    }
}
