/// The upstream's error codes for contacts (upstream reference, "Errors").
package enum DexatelErrorCode: Int, CaseIterable, Sendable {
    /// There is no such contact.
    case contactNotFound = 1351
    /// An identifier in the path is not a UUID.
    case invalidContactIdentifier = 1352
    /// A create lacks the number.
    case numberRequired = 1353
    /// A create's number is none.
    case numberInvalid = 1354
    /// A create's number has more than 45 characters.
    case numberTooLong = 1355
    /// A create has more than ten tags.
    case tooManyTags = 1359
    /// A create's number is a contact's already.
    case contactAlreadyExists = 1360
    /// `first_name` is longer than its limit.
    case firstNameTooLong = 1361
    /// `last_name` is longer than its limit.
    case lastNameTooLong = 1362
    /// `timestamp` is longer than its limit.
    case timestampTooLong = 1363
    /// `date` is longer than its limit.
    case dateTooLong = 1364

    /// The upstream's message for the code.
    package var message: String {
        switch self {
        case .contactNotFound: "Contact is not found"
        case .invalidContactIdentifier: "Invalid contact identifier"
        case .numberRequired: "'data.number' is required"
        case .numberInvalid: "'data.number' is invalid"
        case .numberTooLong: "'data.number' is too long"
        case .tooManyTags: "'data.tags' must be at most [10] items in length"
        case .contactAlreadyExists: "Contact already exists"
        case .firstNameTooLong: "First name is too long"
        case .lastNameTooLong: "Last name is too long"
        case .timestampTooLong: "Timestamp value is too long"
        case .dateTooLong: "Date value is too long"
        }
    }

    /// The HTTP status that the upstream sends with the code.
    package var status: Int {
        switch self {
        case .contactNotFound: 404
        case .contactAlreadyExists: 409
        case .invalidContactIdentifier, .numberRequired, .numberInvalid, .numberTooLong, .tooManyTags,
            .firstNameTooLong, .lastNameTooLong, .timestampTooLong, .dateTooLong:
            400
        }
    }
}
