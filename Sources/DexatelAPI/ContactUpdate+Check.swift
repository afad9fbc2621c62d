extension ContactUpdate {
    /// Checks the body of an Update and finds the members of its `data`.
    ///
    /// Strict RFC 8259, an object at the top, no member name twice in any object, nesting bounded, `data` absent or
    /// an object, known fields strings or null and no longer than their limits in Unicode scalars. Unknown members
    /// are the upstream's business. A body that is at fault in several ways gets the fault that comes first in this
    /// list.
    package static func check(
        _ body: UnsafeRawBufferPointer,
        limits: ContactFieldLimits
    ) throws(ContactUpdateFault) -> ContactUpdate {
        var checker = ContactUpdateChecker(limits: limits)
        do {
            try checker.read(body)
        } catch {
            throw ContactUpdateFault(error)
        }
        if let fault = checker.fault { throw fault }
        return ContactUpdate(members: checker.members, hasOtherMembers: checker.hasOtherMembers)
    }

    /// Checks the body of an Update held in an array.
    package static func check(
        _ body: [UInt8],
        limits: ContactFieldLimits = ContactFieldLimits()
    ) throws(ContactUpdateFault) -> ContactUpdate {
        let result = body.withUnsafeBytes { bytes in
            Result { () throws(ContactUpdateFault) in try check(bytes, limits: limits) }
        }
        return try result.get()
    }
}
