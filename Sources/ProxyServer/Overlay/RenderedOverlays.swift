import DexatelAPI
import ResponseCache

/// Replies with writes laid over them, rendered when something has changed and used until something changes again.
///
/// What has changed is known by counters, of which contacts and audiences share a fixed number: that two of them share
/// one costs a rendering now and then, and nothing else.
struct RenderedOverlays {
    /// What a rendering looked at.
    struct Version {
        fileprivate let slot: Int
        fileprivate let count: UInt64
    }

    /// What is shown in the place of a base.
    enum Rendering {
        /// The base as it is.
        case base
        case made(StoredResponse)
    }

    private struct Entry {
        let base: StoredResponse
        let version: Version
        let rendering: Rendering

        var bytes: Int {
            guard case .made(let response) = rendering else { return Self.entryBytes }
            return Self.entryBytes + response.costBytes
        }

        /// The entry, its key, and a place in a dictionary.
        private static let entryBytes = 256
    }

    /// So many that a thousand writes in a second leave nearly all of what is remembered of other contacts.
    private static let slots = 16_384

    let maxBytes: Int
    private var counts = [UInt64](repeating: 0, count: slots)
    private var entries: [CacheKey: Entry] = [:]
    private var untouched = UntouchedContacts()
    private var bytes = 0

    init(maxBytes: Int) { self.maxBytes = maxBytes }

    /// Notes that something of a contact has changed.
    mutating func change(_ contact: ContactReference) {
        counts[Self.slot(contact)] &+= 1
        counts[Self.slot(contact.audience)] &+= 1
    }

    /// What a rendering for a subject will have looked at, to be taken before it looks.
    func version(_ subject: ReadRequest.Subject) -> Version {
        let slot =
            switch subject {
            case .contact(let contact): Self.slot(contact)
            case .contactList(let audience): Self.slot(audience)
            case .other: 0
            }
        return Version(slot: slot, count: counts[slot])
    }

    /// The rendering over this very base, if nothing has changed since.
    func rendering(_ key: CacheKey, over base: StoredResponse) -> Rendering? {
        guard let entry = entries[key], entry.base === base, counts[entry.version.slot] == entry.version.count else {
            return nil
        }
        return entry.rendering
    }

    /// Remembers that a reply about a contact has nothing to show of pending writes.
    mutating func noteUntouched(_ key: CacheKey, _ version: Version) {
        untouched.note(key.hash, changes: version.count)
    }

    /// Whether a reply about a contact had nothing to show of pending writes, and nothing has changed since.
    func isUntouched(_ key: CacheKey, _ contact: ContactReference) -> Bool {
        untouched.contains(key.hash, changes: counts[Self.slot(contact)])
    }

    /// Keeps a rendering; when there is no room for it, all the others go.
    mutating func keep(_ rendering: Rendering, _ key: CacheKey, over base: StoredResponse, _ version: Version) {
        let entry = Entry(base: base, version: version, rendering: rendering)
        guard entry.bytes <= maxBytes / 8 else { return }
        if let old = entries[key] { bytes -= old.bytes }
        if bytes + entry.bytes > maxBytes {
            entries.removeAll(keepingCapacity: true)
            bytes = 0
        }
        entries[key] = entry
        bytes += entry.bytes
    }

    private static func slot(_ value: some Hashable) -> Int {
        var hasher = Hasher()
        hasher.combine(value)
        return Int(UInt(bitPattern: hasher.finalize()) % UInt(slots))
    }
}
