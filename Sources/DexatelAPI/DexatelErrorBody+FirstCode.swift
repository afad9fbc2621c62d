extension DexatelErrorBody {
    /// The code of the first error of a body in the upstream's shape; nil for any other body.
    ///
    /// The shape: a JSON object whose `errors` is a list that begins with an object with an integer `code`. It is
    /// what tells the upstream's own 404 from a proxy's (design §3.3); where a name occurs twice nothing is certain.
    package static func firstCode(in body: UnsafeRawBufferPointer) -> Int? {
        var reader = JSONReader(body, maxNesting: JSONDocument.maxNesting, refusesDuplicates: true)
        guard reader.isAtObject else { return nil }
        var code: Int?
        var allAreObjects = true
        do {
            try reader.readObject { name, reader throws(JSONFault) in
                guard reader.isName(name, "errors"), reader.isAtArray else { return try skip(&reader) }
                try reader.readArray { index, reader throws(JSONFault) in
                    allAreObjects = allAreObjects && reader.isAtObject
                    guard index == 0, reader.isAtObject else { return try skip(&reader) }
                    try reader.readObject { name, reader throws(JSONFault) in
                        let value = try reader.skipValue()
                        if reader.isName(name, "code"), value.kind == .number(isInteger: true) {
                            code = Int(String(decoding: body[value.range], as: UTF8.self))
                        }
                    }
                }
            }
            try reader.finish()
        } catch {
            return nil
        }
        return allAreObjects ? code : nil
    }

    private static func skip(_ reader: inout JSONReader) throws(JSONFault) {
        _ = try reader.skipValue()
    }
}
