import DexatelAPI
import Foundation
import GRDB
import NIOCore

extension WritePayload {
    /// Reads what a row sends, if it is what was accepted.
    init(verified row: Row) throws {
        let (target, headerText) = (try row.value("target", as: String.self), try row.value("headers", as: String.self))
        let body = ByteBuffer(bytes: try row.value("body", as: Data.self))
        let sum = WriteChecksum(target: target, headerText: headerText, body: body).sum(
            WriteID(sequence: try row.value("sequence"), nonce: try row.value("nonce")),
            try row.contact(),
            keyRow: try row.value("api_key"),
            try row.method()
        )
        guard try row.value("checksum", as: Int64.self) == sum else {
            throw row.damage("checksum", "is not that of what stands in it")
        }
        self.init(target: target, headers: WritePayload.headers(fromText: headerText), body: body)
    }
}

extension WriteChecksum {
    /// Computes the sums of rows in SQL, where what a write sends changes, or a release before had none.
    static let function = DatabaseFunction("write_checksum", argumentCount: 8, pure: true) { values in
        guard let target = String.fromDatabaseValue(values[0]), let headers = String.fromDatabaseValue(values[1]),
            let body = Data.fromDatabaseValue(values[2]), let sequence = Int64.fromDatabaseValue(values[3]),
            let nonce = Int64.fromDatabaseValue(values[4]), let bytes = Data.fromDatabaseValue(values[5]),
            let contact = ContactReference(bytes: bytes), let keyRow = Int64.fromDatabaseValue(values[6]),
            let method = Int64.fromDatabaseValue(values[7]).flatMap(WriteMethod.init)
        else { return nil }
        return WriteChecksum(target: target, headerText: headers, body: ByteBuffer(bytes: body))
            .sum(WriteID(sequence: sequence, nonce: nonce), contact, keyRow: keyRow, method)
    }

    /// The call of the function with the columns of a row.
    static let call = "write_checksum(target, headers, body, sequence, nonce, contact, api_key, method)"
}
