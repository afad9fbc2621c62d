import DexatelAPI
import NIOCore

/// Renders the body of a 202: the shape of the Update reply, with what is known and nothing invented (design §3.2).
struct AcceptedBody {
    let contact: ContactReference
    let update: ContactUpdate

    /// Joins the ids from the path with the fields of the write, whose values are taken byte for byte.
    func rendered(from body: ByteBuffer, allocator: ByteBufferAllocator) -> ByteBuffer {
        var buffer = allocator.buffer(capacity: body.readableBytes + 160)
        buffer.writeStaticString(#"{"data":{"id":""#)
        buffer.writeString(contact.contactText)
        buffer.writeStaticString(#"","audience_id":""#)
        buffer.writeString(contact.audienceText)
        buffer.writeStaticString("\"")
        let view = body.readableBytesView
        for member in update.members where member.name != "id" && member.name != "audience_id" {
            buffer.writeStaticString(",")
            var name: [UInt8] = []
            JSONText.appendQuoted(member.name, to: &name)
            buffer.writeBytes(name)
            buffer.writeStaticString(":")
            let start = view.startIndex + member.value.lowerBound
            buffer.writeBytes(view[start..<view.startIndex + member.value.upperBound])
        }
        buffer.writeStaticString("}}")
        return buffer
    }
}
