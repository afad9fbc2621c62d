/// How long the fields of a contact may be, in Unicode scalars (codes 1361 to 1364).
package struct ContactFieldLimits: Sendable, Equatable {
    /// The limit of `first_name`.
    package var firstName: Int
    /// The limit of `last_name`.
    package var lastName: Int
    /// The limit of `timestamp`.
    package var timestamp: Int
    /// The limit of `date`.
    package var date: Int

    /// Takes the upstream's known limits, or those that an operator has set.
    package init(firstName: Int = 32, lastName: Int = 32, timestamp: Int = 32, date: Int = 70) {
        self.firstName = firstName
        self.lastName = lastName
        self.timestamp = timestamp
        self.date = date
    }

    /// The limit of one field.
    package subscript(field: ContactField) -> Int {
        switch field {
        case .firstName: firstName
        case .lastName: lastName
        case .timestamp: timestamp
        case .date: date
        }
    }
}
