package import NIOCore

/// Gathers what happens in one turn of an event loop, so that whoever takes it is called once for all of it.
package final class TurnBatches<Element: Sendable>: Sendable {
    private let boxes: [(eventLoop: any EventLoop, gathered: NIOLoopBoundBox<[Element]>)]
    private let take: @Sendable ([Element]) -> Void

    /// - Parameters:
    ///   - group: The loops.
    ///   - take: Takes what one turn of a loop has brought, at its end and on that loop.
    package init(_ group: any EventLoopGroup, take: @escaping @Sendable ([Element]) -> Void) {
        self.boxes = group.makeIterator().map { ($0, NIOLoopBoundBox.makeBoxSendingValue([], eventLoop: $0)) }
        self.take = take
    }

    /// Adds something, on an event loop of the group.
    package func add(_ element: Element, on eventLoop: any EventLoop) {
        // A handful of event loops: looking along an array is the fastest map.
        guard let gathered = self.boxes.first(where: { $0.eventLoop === eventLoop })?.gathered else {
            preconditionFailure("the event loop is not of the group")
        }
        gathered.value.append(element)
        guard gathered.value.count == 1 else { return }
        eventLoop.execute {
            let elements = gathered.value
            gathered.value.removeAll(keepingCapacity: true)
            self.take(elements)
        }
    }
}
