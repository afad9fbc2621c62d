/// Takes items out of an array's text with as many commas, whichever items they are.
///
/// Items come in their order. A run of removed items goes with what follows it up to the next item that stays; at the
/// array's end it goes with what lies between it and the last item that stayed.
struct ItemRemoval {
    private var endOfKept: Int?
    private var run: Range<Int>?

    /// Leaves an item out.
    mutating func remove(_ item: Range<Int>) {
        run = (run?.lowerBound ?? item.lowerBound)..<item.upperBound
    }

    /// Lets an item stay.
    mutating func keep(_ item: Range<Int>, in splice: inout BodySplice) {
        if let run { splice.remove(run.lowerBound..<item.lowerBound) }
        run = nil
        endOfKept = item.upperBound
    }

    /// Ends the array.
    mutating func finish(in splice: inout BodySplice) {
        guard let run else { return }
        splice.remove((endOfKept ?? run.lowerBound)..<run.upperBound)
        self.run = nil
    }
}
