import DexatelAPI

extension Audience {
    /// Writes the audience object.
    func write(to writer: inout JSONWriter, linkBase base: String) {
        let text = UUIDText.text(id)
        writer.beginObject()
        writer.member("id", text)
        writer.member("account_id", UUIDText.text(SimulatorSettings.account))
        writer.member("name", "Audience \(text.prefix(8))")
        writer.member("contacts_count", count)
        writer.name("links")
        writer.beginObject()
        writer.member("self", "\(base)/v1/audiences/\(text)")
        writer.member("contacts", "\(base)/v1/audiences/\(text)/contacts")
        writer.endObject()
        writer.endObject()
    }
}
