package import NIOHTTP1

/// The head of a final reply from the upstream, as the cache gets to see it.
package struct ReplyHead: Sendable {
    /// The status code.
    package var status: Int
    /// The fields as they came; hop-by-hop ones are left out here if they are not already.
    package var headers: HTTPHeaders
    /// When it was asked for and came.
    package var times: ExchangeTimes

    /// Gathers the parts.
    package init(status: Int, headers: HTTPHeaders, times: ExchangeTimes) {
        self.status = status
        self.headers = headers
        self.times = times
    }
}
