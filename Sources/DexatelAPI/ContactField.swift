/// The fields of a contact that Update names and limits (upstream reference, "Update").
package enum ContactField: String, CaseIterable, Sendable {
    /// The contact's first name.
    case firstName = "first_name"
    /// The contact's last name.
    case lastName = "last_name"
    /// A free value, `custom1` in newer references.
    case timestamp
    /// A free value, `custom2` in newer references.
    case date

    /// The upstream's error for a value of this field that is too long.
    package var tooLongCode: DexatelErrorCode {
        switch self {
        case .firstName: .firstNameTooLong
        case .lastName: .lastNameTooLong
        case .timestamp: .timestampTooLong
        case .date: .dateTooLong
        }
    }

    /// The field of that name, byte for byte; nil for any other name.
    @inline(__always)
    init?(_ name: JSONName, in reader: JSONReader) {
        if reader.isName(name, "first_name") {
            self = .firstName
        } else if reader.isName(name, "last_name") {
            self = .lastName
        } else if reader.isName(name, "timestamp") {
            self = .timestamp
        } else if reader.isName(name, "date") {
            self = .date
        } else {
            return nil
        }
    }
}
