import DexatelAPI
import NIOCore
import NIOHTTP1

@testable import Outbox

/// The things that most tests need one of.
enum Sample {
    static let vault = KeyVault(masterKey: masterKey(1))

    static func masterKey(_ byte: UInt8) -> MasterKey {
        guard let key = MasterKey(bytes: [UInt8](repeating: byte, count: MasterKey.byteCount)) else {
            preconditionFailure("32 bytes are a master key")
        }
        return key
    }

    static func contact(_ number: Int) -> ContactReference {
        ContactReference(audience: 7, contact: UInt128(number))
    }

    static func key(_ number: Int) -> KnownKey {
        let secret = Secret("api-key-\(number)")
        return KnownKey(fingerprint: vault.fingerprint(secret), secret: secret)
    }

    static func payload(_ body: String, target: String = "/v1/audiences/a/contacts/c?x=%20y") -> WritePayload {
        WritePayload(
            target: target,
            headers: ["Content-Type": "application/json", "X-Trace": "a: b"],
            body: ByteBuffer(string: body)
        )
    }

    /// A reply of the API: without a body of its own an error is in the API's shape.
    static func reply(_ status: Int, _ body: String? = nil, retryAfter: Int64? = nil) -> DeliveryReply {
        DeliveryReply(
            status: status,
            headers: ["Content-Type": "application/json"],
            body: ByteBuffer(string: body ?? ((400..<600).contains(status) && status != 404 ? apiError : "{}")),
            retryAfterMilliseconds: retryAfter
        )
    }

    static func outcome(_ status: Int, _ body: String? = nil, retryAfter: Int64? = nil) -> DeliveryOutcome {
        .reply(reply(status, body, retryAfter: retryAfter))
    }

    static let timeout = DeliveryOutcome.failure(DeliveryFailure(message: "timeout", isAmbiguous: true))
    static let unreachable = DeliveryOutcome.failure(DeliveryFailure(message: "unreachable", isAmbiguous: false))

    /// An error in the API's shape.
    static let apiError = #"{"errors":[{"message":"no","code":1352}]}"#

    /// The upstream's own 404.
    static let contactNotFound = #"{"errors":[{"status":404,"message":"Contact is not found","code":1351}]}"#
}

extension RelayTime: ExpressibleByIntegerLiteral {
    /// So many milliseconds after the origin.
    package init(integerLiteral value: Int64) { self.init(milliseconds: value) }
}
