/// Finds the contacts in a reply, in one pass and without copying them.
///
/// A reply that is not well-formed, nests deeper than `JSONDocument.maxNesting` or names a member twice in one object
/// has no contacts: which of the two members its reader would take is not for the relay to guess.
package enum ContactDocument {
    /// The contact of `{"data":{…}}`; nil for any other body.
    package static func contact(in body: UnsafeRawBufferPointer) -> ContactObject? {
        var contact: ContactObject?
        let isWhole = readData(of: body) { reader throws(JSONFault) in
            guard reader.isAtObject else { throw reader.scanner.expected("object") }
            var object = ContactObject(text: body)
            try object.read(&reader)
            contact = object
        }
        return isWhole ? contact : nil
    }

    /// Lends the elements of `{"data":[…]}` one by one, also those that are no objects; false for any other body.
    ///
    /// Elements are lent before the end of the body is seen: what was made of them counts only if the result is true.
    package static func forEachItem(
        of body: UnsafeRawBufferPointer,
        _ visit: (ContactObject) -> Void
    ) -> Bool {
        var hasList = false
        var item = ContactObject(text: body)
        let isWhole = readData(of: body) { reader throws(JSONFault) in
            guard reader.isAtArray else { throw reader.scanner.expected("array") }
            hasList = true
            try reader.readArray { _, reader throws(JSONFault) in
                try item.read(&reader)
                visit(item)
            }
        }
        return isWhole && hasList
    }

    /// Reads an object, giving the value of its member `data` to `data`; whether all of it is as it should be.
    private static func readData(
        of body: UnsafeRawBufferPointer,
        _ data: (inout JSONReader) throws(JSONFault) -> Void
    ) -> Bool {
        var reader = JSONReader(body, maxNesting: JSONDocument.maxNesting, refusesDuplicates: true)
        guard reader.isAtObject else { return false }
        do {
            try reader.readObject { name, reader throws(JSONFault) in
                if reader.isName(name, "data") {
                    try data(&reader)
                } else {
                    _ = try reader.skipValue()
                }
            }
            try reader.finish()
            return true
        } catch {
            return false
        }
    }
}
