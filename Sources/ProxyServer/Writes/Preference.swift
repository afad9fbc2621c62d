import HTTPWire

/// The preferences of RFC 7240 that an app may state: `respond-async` and `wait=N`, and `relay-barrier` of our own.
struct Preference: Equatable {
    /// `respond-async` was asked for.
    var respondAsync = false
    /// `wait=N`, in seconds.
    var waitSeconds: Int64?
    /// `relay-barrier` was asked for: pass-through is to wait until the key's pending writes are delivered (design §6).
    var relayBarrier = false

    /// No preference at all.
    init() {}

    init(_ fields: FieldSection) {
        for line in fields.values(.prefer) {
            for preference in line.split(separator: ",") {
                // Parameters of a preference come after a semicolon; none of these has any.
                let token = preference.prefix { $0 != ";" }
                let parts = token.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let name = Self.trimmed(parts[0]).lowercased()
                if name == "respond-async" {
                    respondAsync = true
                } else if name == "relay-barrier" {
                    relayBarrier = true
                } else if name == "wait", parts.count == 2, waitSeconds == nil {
                    // The first of several counts (RFC 7240 §2).
                    waitSeconds = Int64(Self.trimmed(parts[1]).filter { $0 != "\"" }).flatMap { $0 >= 0 ? $0 : nil }
                }
            }
        }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        let tail = text.drop(while: isSpace)
        guard let last = tail.lastIndex(where: { !isSpace($0) }) else { return "" }
        return tail[...last]
    }

    /// How long the sender waits for the upstream's own reply, at most `max`; `default` when it has not said.
    func replyWaitMilliseconds(default usual: Int64, max most: Int64) -> Int64 {
        if let waitSeconds {
            let (milliseconds, overflow) = waitSeconds.multipliedReportingOverflow(by: 1000)
            return overflow ? most : min(milliseconds, most)
        }
        return respondAsync ? 0 : usual
    }

    /// The value of `Preference-Applied` for a reply that is the upstream's own, or a 202; nil when nothing was applied.
    func applied(isAsynchronous: Bool) -> String? {
        switch (respondAsync && isAsynchronous, waitSeconds) {
        case (true, let seconds?): "respond-async, wait=\(seconds)"
        case (true, nil): "respond-async"
        case (false, let seconds?): "wait=\(seconds)"
        case (false, nil): nil
        }
    }
}
