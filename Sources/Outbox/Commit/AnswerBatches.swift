/// Answers gathered by sink, so that each event loop is called once a batch.
struct AnswerBatches {
    private var batches: [(sink: any WriteAnswerSink, answers: [(token: UInt64, answer: WriteAnswer)])] = []

    mutating func add(_ sink: any WriteAnswerSink, _ token: UInt64, _ answer: WriteAnswer) {
        // A handful of event loops: looking along an array is the fastest map.
        if let index = batches.firstIndex(where: { $0.sink === sink }) {
            batches[index].answers.append((token, answer))
        } else {
            batches.append((sink, [(token, answer)]))
        }
    }

    mutating func add(_ answers: [SenderAnswer]) {
        for answer in answers { add(answer.waiter.sink, answer.waiter.token, answer.answer) }
    }

    func send() {
        for batch in batches { batch.sink.take(batch.answers) }
    }
}
