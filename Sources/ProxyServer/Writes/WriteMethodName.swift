import NIOHTTP1
import Outbox

/// The methods that go to the outbox.
struct WriteMethodName {
    let method: WriteMethod?

    init(_ name: HTTPMethod) {
        switch name {
        case .PUT: method = .put
        case .DELETE: method = .delete
        default: method = nil
        }
    }
}
