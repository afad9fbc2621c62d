import DexatelAPI
import NIOHTTP1

/// When a reply was asked for and came.
///
/// Spans are measured by a monotonic clock (one that counts suspended time); the wall clock is there only to be
/// compared with the reply's `Date`.
package struct ExchangeTimes: Sendable, Equatable {
    /// Monotonic, when the request was sent.
    package var requestMilliseconds: Int64
    /// Monotonic, when the head of the reply had come.
    package var responseMilliseconds: Int64
    /// Seconds since 1970, at the same moment.
    package var responseUnixSeconds: Int64

    /// Notes the three readings.
    package init(requestMilliseconds: Int64, responseMilliseconds: Int64, responseUnixSeconds: Int64) {
        self.requestMilliseconds = requestMilliseconds
        self.responseMilliseconds = responseMilliseconds
        self.responseUnixSeconds = responseUnixSeconds
    }

    /// The monotonic moment at which the reply was, or would have been, generated (RFC 9111 §4.2.3).
    ///
    /// That is the response time less the corrected initial age; the current age is the span since.
    func bornMilliseconds(_ headers: HTTPHeaders) -> Int64 {
        let apparentAge = max(
            0,
            responseUnixSeconds - (HTTPDate.earliest("Date", headers, self) ?? responseUnixSeconds)
        )
        let delay = max(0, responseMilliseconds - requestMilliseconds)
        let correctedAge = Self.ageSeconds(headers) * 1000 + delay
        return responseMilliseconds - max(min(apparentAge, DeltaSeconds.max) * 1000, correctedAge)
    }

    /// The first member of `Age`; what is no number of seconds is ignored (RFC 9111 §5.1).
    private static func ageSeconds(_ headers: HTTPHeaders) -> Int64 {
        guard let line = headers.first(name: "Age") else { return 0 }
        return DeltaSeconds.parse(Array(line.utf8).prefix { $0 != UInt8(ascii: ",") }.trimmed) ?? 0
    }
}

extension HTTPDate {
    /// The date in the first field of that name, if it is one.
    static func first(_ name: String, _ headers: HTTPHeaders, _ times: ExchangeTimes) -> Int64? {
        headers.first(name: name).flatMap { parse($0, nowUnixSeconds: times.responseUnixSeconds) }
    }

    /// The earliest date in the fields of that name: of several that contradict each other, the one by which a reply is
    /// oldest.
    static func earliest(_ name: String, _ headers: HTTPHeaders, _ times: ExchangeTimes) -> Int64? {
        headers[name].compactMap { parse($0, nowUnixSeconds: times.responseUnixSeconds) }.min()
    }
}
