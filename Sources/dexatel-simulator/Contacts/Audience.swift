import DexatelAPI

/// The contacts of one audience, in the order in which they were made.
struct Audience: Sendable {
    let id: UInt128
    /// A deleted contact leaves a hole until the next page is asked for.
    private var slots: [StoredContact?] = []
    private var slotOfContact: [UInt128: Int] = [:]
    private var contactOfNumber: [String: UInt128] = [:]

    init(id: UInt128) {
        self.id = id
    }

    var count: Int { slotOfContact.count }

    subscript(contact: UInt128) -> StoredContact? {
        slotOfContact[contact].flatMap { slots[$0] }
    }

    /// The contact that has a number.
    func contact(withNumber number: String) -> UInt128? {
        contactOfNumber[number]
    }

    /// Puts a contact in, in place of one with its identifier if there is any.
    mutating func store(_ contact: StoredContact) {
        let id = contact.reference.contact
        if let slot = slotOfContact[id] {
            forgetNumber(of: slots[slot])
            slots[slot] = contact
        } else {
            slotOfContact[id] = slots.count
            slots.append(contact)
        }
        if let number = contact.number { contactOfNumber[number] = id }
    }

    /// Takes a contact out; false where there is none.
    mutating func remove(_ contact: UInt128) -> Bool {
        guard let slot = slotOfContact.removeValue(forKey: contact) else { return false }
        forgetNumber(of: slots[slot])
        slots[slot] = nil
        return true
    }

    /// Makes room for this many more contacts.
    mutating func reserve(_ additionalCount: Int) {
        slots.reserveCapacity(slots.count + additionalCount)
        slotOfContact.reserveCapacity(count + additionalCount)
        contactOfNumber.reserveCapacity(count + additionalCount)
    }

    /// The contacts of a page, counted from 1, and how many there are on all pages.
    mutating func page(_ number: Int, size: Int, search: String?) -> (contacts: [StoredContact], total: Int) {
        closeHoles()
        let (start, overflows) = (number - 1).multipliedReportingOverflow(by: size)
        func cut(_ contacts: some RandomAccessCollection<StoredContact?>) -> (contacts: [StoredContact], total: Int) {
            let rest = overflows ? contacts.dropFirst(contacts.count) : contacts.dropFirst(start)
            return (rest.prefix(size).compactMap(\.self), contacts.count)
        }
        guard let search, !search.isEmpty else { return cut(slots) }
        let lowercased = search.lowercased()
        return cut(slots.filter { $0?.matches(search: lowercased) == true })
    }

    private mutating func forgetNumber(of contact: StoredContact?) {
        guard let contact, let number = contact.number, contactOfNumber[number] == contact.reference.contact else {
            return
        }
        contactOfNumber[number] = nil
    }

    private mutating func closeHoles() {
        guard slots.count > slotOfContact.count else { return }
        slots.removeAll { $0 == nil }
        for (slot, contact) in slots.enumerated() {
            if let contact { slotOfContact[contact.reference.contact] = slot }
        }
    }
}
