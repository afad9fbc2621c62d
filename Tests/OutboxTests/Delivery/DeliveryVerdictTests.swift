import NIOCore
import NIOHTTP1
import Testing

@testable import Outbox

@Suite struct DeliveryVerdictTests {
    private static func judge(
        _ outcome: DeliveryOutcome,
        _ method: WriteMethod = .put,
        acknowledged: Bool = false,
        graceOver: Bool = false,
        foreignGraceOver: Bool = false
    ) -> DeliveryVerdict {
        DeliveryVerdict.judge(
            outcome,
            DeliveryVerdict.Circumstances(
                method: method,
                isAcknowledgedOrRetried: acknowledged,
                isNotFoundGraceOver: graceOver,
                isForeignGraceOver: foreignGraceOver
            )
        )
    }

    /// Every combination of the circumstances.
    private static let circumstances: [(method: WriteMethod, acknowledged: Bool, graceOver: Bool)] =
        [WriteMethod.put, .delete].flatMap { method in
            [false, true].flatMap { acknowledged in
                [false, true].map { (method, acknowledged, $0) }
            }
        }

    @Test(arguments: [200, 201, 202, 204, 226, 299])
    func `a 2xx is delivered if its body is empty or a JSON object, and never otherwise`(_ status: Int) {
        for circumstance in Self.circumstances {
            for body in ["", "\r\n", "{}", #" {"data":{"id":"1"}} "#, "\u{FEFF}{}", "\u{FEFF} {} "] {
                let verdict = Self.judge(
                    Sample.outcome(status, body),
                    circumstance.method,
                    acknowledged: circumstance.acknowledged,
                    graceOver: circumstance.graceOver
                )
                #expect(verdict == .delivered, "\(body)")
            }
            for body in [
                "<html>down for maintenance</html>", "[]", "null", "{", "{}{}", #""{}""#, "OK", "\u{FEFF}",
                "{\u{FEFF}}",
            ] {
                guard case .retry(let retry) = Self.judge(Sample.outcome(status, body), circumstance.method) else {
                    Issue.record("a \(status) with \(body) must be retried")
                    continue
                }
                #expect(retry.reason.hasPrefix("unexpected_reply"))
            }
        }
    }

    @Test func `a write whose connection was stale is tried again at once, and may have taken effect`() {
        let failure = DeliveryFailure(message: "closed", isAmbiguous: true, isStaleConnection: true)
        let retry = Self.judge(.failure(failure)).retry
        #expect(retry?.isAtOnce == true && retry?.isAmbiguous == true)
        #expect(Self.judge(.failure(DeliveryFailure(message: "closed", isAmbiguous: true))).retry?.isAtOnce == false)
    }

    @Test(arguments: [300, 301, 302, 303, 304, 307, 308, 399])
    func `a 3xx is retried, never followed, never final`(_ status: Int) {
        for circumstance in Self.circumstances {
            let verdict = Self.judge(
                Sample.outcome(status),
                circumstance.method,
                acknowledged: circumstance.acknowledged,
                graceOver: circumstance.graceOver
            )
            #expect(
                verdict
                    == .retry(.init(reason: "unexpected_reply: \(status)", isForeign: true, endsWithOutage: true))
            )
        }
    }

    @Test(arguments: [408, 425, 429, 500, 502, 503, 504, 505, 507, 511, 519, 520, 521, 522, 530, 531, 599, 600, 999])
    func `what may pass is retried, as soon as the upstream asks`(_ status: Int) {
        for circumstance in Self.circumstances {
            for retryAfter in [nil, 1_500] as [Int64?] {
                let verdict = Self.judge(
                    Sample.outcome(status, retryAfter: retryAfter),
                    circumstance.method,
                    acknowledged: circumstance.acknowledged,
                    graceOver: circumstance.graceOver
                )
                #expect(
                    verdict
                        == .retry(
                            .init(
                                reason: "status \(status)",
                                retryAfterMilliseconds: retryAfter,
                                pausesKey: status == 429,
                                pausesUpstream: status == 503 && retryAfter != nil,
                                endsWithOutage: ([502, 503, 504].contains(status) || (520...530).contains(status))
                                    && retryAfter == nil
                            )
                        )
                )
            }
        }
    }

    @Test func `an attempt without a reply is retried, and ambiguous only if it may have taken effect`() {
        let timeout = Self.judge(Sample.timeout)
        #expect(timeout == .retry(.init(reason: "timeout", isAmbiguous: true, endsWithOutage: true)))
        let unreachable = Self.judge(Sample.unreachable)
        #expect(unreachable == .retry(.init(reason: "unreachable", isAmbiguous: false, endsWithOutage: true)))
    }

    @Test func `a 401 is about the key and a 403 about the write`() {
        for circumstance in Self.circumstances {
            #expect(Self.judge(Sample.outcome(401), circumstance.method) == .holdKey)
            #expect(Self.judge(Sample.outcome(403), circumstance.method) == .holdWrite)
        }
    }

    @Test(arguments: [400, 401, 402, 403, 405, 406, 407, 409, 410, 411, 412, 413, 414, 415, 417, 422, 451, 499, 501])
    func `a refusal that is not in the API's shape is retried until the grace is over, whatever it says`(
        _ status: Int
    ) {
        for body in ["", "{}", "<html>Access denied</html>", #"{"error":"denied"}"#, #"{"errors":["no"]}"#] {
            for circumstance in Self.circumstances {
                let outcome = Sample.outcome(status, body)
                let verdict = Self.judge(
                    outcome,
                    circumstance.method,
                    acknowledged: circumstance.acknowledged,
                    graceOver: circumstance.graceOver
                )
                #expect(
                    verdict
                        == .retry(
                            .init(
                                reason: "unexpected_reply: \(status) without the API's error body",
                                isForeign: true,
                                endsWithOutage: true
                            )
                        )
                )
                let after = Self.judge(outcome, circumstance.method, foreignGraceOver: true)
                #expect(after == .refused)
            }
        }
    }

    @Test(arguments: [-1, 0, 42, 99, 100, 101, 199])
    func `a status that no final reply has is retried`(_ status: Int) {
        for circumstance in Self.circumstances {
            #expect(Self.judge(Sample.outcome(status), circumstance.method).retry?.isForeign == true)
        }
    }

    @Test func `a reply that ends with its connection confirms a write only as a whole JSON object`() {
        let bodies = [
            ("{}", true), (#"{"data":{"id":"1"}}"#, true), ("", false), ("\r\n", false), (#"{"data":{"#, false),
        ]
        for (body, isWhole) in bodies {
            let reply = DeliveryReply(
                status: 200,
                headers: [:],
                body: ByteBuffer(string: body),
                retryAfterMilliseconds: nil,
                isCompletelyFramed: false
            )
            #expect((Self.judge(.reply(reply)) == .delivered) == isWhole, "\(body)")
        }
    }

    @Test(arguments: [400, 402, 405, 406, 409, 411, 412, 413, 414, 415, 417, 422, 451, 499, 501])
    func `other refusals are final`(_ status: Int) {
        for circumstance in Self.circumstances {
            let verdict = Self.judge(
                Sample.outcome(status),
                circumstance.method,
                acknowledged: circumstance.acknowledged,
                graceOver: circumstance.graceOver
            )
            #expect(verdict == .refused)
        }
    }

    @Test func `the upstream's own 404 is final, and what an acknowledged or retried DELETE is for`() {
        for circumstance in Self.circumstances {
            for outcome in [Sample.outcome(404, Sample.contactNotFound), Sample.outcome(410)] {
                let verdict = Self.judge(
                    outcome,
                    circumstance.method,
                    acknowledged: circumstance.acknowledged,
                    graceOver: circumstance.graceOver
                )
                let isDone = circumstance.method == .delete && circumstance.acknowledged
                #expect(verdict == (isDone ? .delivered : .refused), "\(circumstance)")
            }
        }
    }

    @Test(arguments: [
        "", "{}", "<html>not found</html>", #"{"errors":[{"code":1352}]}"#, #"{"errors":[{"code":"1351"}]}"#,
    ])
    func `a 404 that is not the upstream's own is retried until the grace is over`(_ body: String) {
        for method in [WriteMethod.put, .delete] {
            for acknowledged in [false, true] {
                guard
                    case .retry(let retry) = Self.judge(Sample.outcome(404, body), method, acknowledged: acknowledged)
                else {
                    Issue.record("within the grace it must be retried")
                    continue
                }
                #expect(retry.isForeignNotFound)
                #expect(!retry.isAmbiguous && !retry.endsWithOutage && !retry.pausesKey)
                let after = Self.judge(Sample.outcome(404, body), method, acknowledged: acknowledged, graceOver: true)
                #expect(after == (method == .delete && acknowledged ? .delivered : .refused))
            }
        }
    }
}
