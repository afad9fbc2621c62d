/// A write as listings show it.
package struct WriteSummary: Codable, Sendable, Equatable {
    /// Its name.
    package var id: String
    /// `pending`, `in_flight`, `held`, `delivered`, `rejected`, `superseded`, `dead` or `discarded`.
    package var state: String
    /// Why it is held: `key`, `write` (403), `contact` (stopped), `overtaken` or `unexpected`; nil when it is not.
    package var hold: String?
    /// PUT or DELETE.
    package var method: String
    /// The audience's UUID.
    package var audienceId: String
    /// The contact's UUID.
    package var contactId: String
    /// Its place in the order of commit.
    package var sequence: Int64
    /// The beginning of its key's fingerprint.
    package var keyFingerprint: String
    /// When it was accepted (RFC 3339).
    package var acceptedAt: String
    /// How long ago that is, in milliseconds.
    package var ageMilliseconds: Int64
    /// When it ended (RFC 3339).
    package var endedAt: String?
    /// How often it was sent.
    package var attempts: Int64
    /// When it is sent again at the earliest (RFC 3339).
    package var nextAttemptAt: String?
    /// What went wrong with the last attempt.
    package var lastError: String?
    /// The upstream's final status.
    package var responseStatus: Int?
    /// The upstream's code in its final reply.
    package var errorCode: Int?
    /// Whether an attempt may have taken effect without anybody knowing.
    package var ambiguous: Bool
    /// What it takes in the outbox; 0 once its body is gone.
    package var storedBytes: Int
    /// The write that covered it.
    package var supersededBy: String?

    /// Describes a write that was accepted just now.
    package init(id: String, state: String, method: String, contact: ContactName, sequence: Int64) {
        (self.id, self.state, self.method, self.sequence) = (id, state, method, sequence)
        (audienceId, contactId) = (contact.audienceId, contact.contactId)
        (keyFingerprint, acceptedAt, ageMilliseconds, attempts, ambiguous, storedBytes) = ("", "", 0, 0, false, 0)
    }

    /// Its contact.
    package var contact: ContactName { ContactName(audienceId: audienceId, contactId: contactId) }
}

/// A part of a listing.
package struct WritePage: Codable, Sendable, Equatable {
    /// The writes, in the order of sequence.
    package var writes: [WriteSummary]
    /// Where to go on; nil when nothing more is there.
    ///
    /// A part may be empty and not the last.
    package var next: Int64?

    /// Describes a part.
    package init(writes: [WriteSummary], next: Int64?) { (self.writes, self.next) = (writes, next) }
}

/// A write with all that is kept of it.
package struct WriteDetail: Codable, Sendable, Equatable {
    /// One attempt to send it.
    package struct Attempt: Codable, Sendable, Equatable {
        /// When it began (RFC 3339).
        package var startedAt: String
        /// How long it took, in milliseconds.
        package var durationMilliseconds: Int64
        /// The upstream's status; nil when there was no reply.
        package var status: Int?
        /// What went wrong, when there was no reply.
        package var error: String?

        /// Describes an attempt.
        package init(startedAt: String, durationMilliseconds: Int64, status: Int?, error: String?) {
            (self.startedAt, self.durationMilliseconds) = (startedAt, durationMilliseconds)
            (self.status, self.error) = (status, error)
        }
    }

    /// What listings show.
    package var write: WriteSummary
    /// The last attempts, the oldest first.
    package var lastAttempts: [Attempt]
    /// The request target; nil once that is gone.
    package var target: String?
    /// Name and value of each header that is sent; never the API key.
    package var headers: [[String]]?
    /// The body.
    package var body: String?
    /// The names of the fields that it sets, where they are known.
    package var fieldNames: [String]?
    /// The upstream's final reply.
    package var responseBody: String?

    /// Describes a write of which no more than this is known.
    package init(write: WriteSummary, lastAttempts: [Attempt]) {
        (self.write, self.lastAttempts) = (write, lastAttempts)
    }
}
