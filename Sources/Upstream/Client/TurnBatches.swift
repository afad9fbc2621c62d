package import NIOCore

/// Gathers what happens in one turn of one event loop, which alone it is used on.
package final class TurnBatch<Element>: Sendable {
    private let gathered: NIOLoopBoundBox<[Element]>
    /// The loop.
    package let eventLoop: any EventLoop

    /// Makes an empty one; on any thread.
    package init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        self.gathered = NIOLoopBoundBox.makeBoxSendingValue([], eventLoop: eventLoop)
    }

    /// Adds something.
    ///
    /// - Parameter take: Takes, at the end of the turn, all that was added in it; that of the first counts.
    package func add(_ element: Element, take: @escaping @Sendable ([Element]) -> Void) {
        self.gathered.value.append(element)
        guard self.gathered.value.count == 1 else { return }
        self.eventLoop.execute {
            let elements = self.gathered.value
            self.gathered.value.removeAll(keepingCapacity: true)
            take(elements)
        }
    }
}

/// Gathers what happens in one turn of each event loop of a group, and has it taken by one call for each.
package final class TurnBatches<Element: Sendable>: Sendable {
    private let batches: [TurnBatch<Element>]
    private let take: @Sendable ([Element]) -> Void

    /// - Parameters:
    ///   - group: The loops.
    ///   - take: Takes what one turn of a loop has brought, at its end and on that loop.
    package init(_ group: any EventLoopGroup, take: @escaping @Sendable ([Element]) -> Void) {
        self.batches = group.makeIterator().map { TurnBatch($0) }
        self.take = take
    }

    /// Adds something, on an event loop of the group.
    package func add(_ element: Element, on eventLoop: any EventLoop) {
        // A handful of event loops: looking along an array is the fastest map.
        guard let batch = self.batches.first(where: { $0.eventLoop === eventLoop }) else {
            preconditionFailure("the event loop is not of the group")
        }
        batch.add(element, take: self.take)
    }
}
