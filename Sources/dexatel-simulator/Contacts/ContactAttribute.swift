import DexatelAPI

/// The text fields of a contact, in the order of replies; newer and older names are fields of their own.
enum ContactAttribute: String, CodingKey, CaseIterable, Sendable {
    case number
    case firstName = "first_name"
    case lastName = "last_name"
    case timestamp
    case date
    case custom1
    case custom2

    /// The limit in Unicode scalars and what exceeding it is called.
    var limit: (scalars: Int, code: DexatelErrorCode) {
        let limits = ContactFieldLimits()
        return switch self {
        case .number: (45, .numberTooLong)
        case .firstName: (limits.firstName, .firstNameTooLong)
        case .lastName: (limits.lastName, .lastNameTooLong)
        case .timestamp, .custom1: (limits.timestamp, .timestampTooLong)
        case .date, .custom2: (limits.date, .dateTooLong)
        }
    }
}
