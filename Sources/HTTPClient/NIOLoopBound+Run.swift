package import NIOCore

extension EventLoop {
    /// Does something on this loop: at once if that is where it is called, else in the loop's next turn.
    package func run(_ body: @escaping @Sendable () -> Void) {
        if self.inEventLoop { body() } else { self.execute(body) }
    }
}

extension NIOLoopBound {
    /// Does something with the value on its loop: at once if that is where it is called, else in the loop's next turn.
    package func run(_ body: @escaping @Sendable (Value) -> Void) {
        if self.eventLoop.inEventLoop { body(self.value) } else { self.eventLoop.execute { body(self.value) } }
    }
}
