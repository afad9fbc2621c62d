@testable import ProxyServer

/// What may happen to a connection.
enum ConnectionEvent: CaseIterable {
    case head, headOfLastRequest, headThatExpectsContinue, smallBody, largeBody, end
    case answer, answerThatCloses, stream, write, writeTooMuch, endStream, abort
    case pause, resume, wantsBody, blocked, unblocked, inputClosed, quiesce, endIdle, failed
}

/// The same rules as `ConnectionState`, told by what has happened on the connection instead of by phases.
struct ConnectionModel {
    static let streamedBytes = 10

    var hasRequest = false
    var requestIsComplete = false
    var requestIsBroken = false
    var isAnswered = false
    var streamed: Int?
    var keepsAlive = true
    var isQuiescing = false
    var inputIsClosed = false
    var isOver = false
    var isLingering = false
    var thrownAway = 0
    var lingered = 0
    var isPaused = false
    var isWritable = true
    var owesContinue = false

    var isIdle: Bool { !hasRequest && !isOver && !isLingering }
    var isReadingRequest: Bool { hasRequest && !requestIsComplete && !requestIsBroken }
    var persists: Bool { keepsAlive && !isQuiescing && !inputIsClosed }

    var takesInput: Bool {
        if isOver { return false }
        if isLingering { return true }
        if !hasRequest { return isWritable }
        return isReadingRequest && (isAnswered || !isPaused)
    }

    mutating func forgetRequest() {
        hasRequest = false
        requestIsComplete = false
        requestIsBroken = false
        isAnswered = false
        streamed = nil
        thrownAway = 0
    }

    mutating func finish() {
        isOver = true
        isLingering = false
        forgetRequest()
    }

    mutating func linger() {
        isLingering = true
        forgetRequest()
    }
}

/// Lets the same things happen to the state machine and to the model, and says where they differ.
struct ConnectionDriver: ~Copyable {
    private var state = ConnectionState()
    private(set) var model = ConnectionModel()

    /// Whether the handler could bring this event about now.
    func isPossible(_ event: ConnectionEvent) -> Bool {
        let canAnswer = model.hasRequest && !model.isAnswered && model.streamed == nil
        switch event {
        case .head, .headOfLastRequest, .headThatExpectsContinue:
            return model.takesInput && (model.isIdle || model.isLingering)
        case .smallBody, .largeBody, .end:
            return model.takesInput && (model.isReadingRequest || model.isLingering)
        case .answer, .answerThatCloses, .stream: return canAnswer
        case .write, .writeTooMuch, .endStream: return model.streamed != nil
        case .abort: return model.streamed != nil
        default: return true
        }
    }

    /// Applies the event; a text where machine and model disagree, else nil.
    mutating func apply(_ event: ConnectionEvent) -> String? {
        let (was, expected) = perform(event)
        if was != expected { return "\(event): \(was) instead of \(expected)" }
        if state.isIdle != model.isIdle { return "\(event): isIdle is \(state.isIdle)" }
        if state.isLingering != model.isLingering { return "\(event): isLingering is \(state.isLingering)" }
        if state.takesInput != model.takesInput { return "\(event): takesInput is \(state.takesInput)" }
        let isKeptWaiting = model.isReadingRequest && !model.isAnswered && model.isPaused
        let holdsBack = isKeptWaiting || model.isIdle && !model.isWritable
        if state.holdsBackReads != holdsBack { return "\(event): holdsBackReads is \(state.holdsBackReads)" }
        return nil
    }

    private mutating func perform(_ event: ConnectionEvent) -> (was: String, expected: String) {
        switch event {
        case .head: head(keepsAlive: true, expectsContinue: false)
        case .headOfLastRequest: head(keepsAlive: false, expectsContinue: false)
        case .headThatExpectsContinue: head(keepsAlive: true, expectsContinue: true)
        case .smallBody: body(1000)
        case .largeBody: body(50_000)
        case .end: end()
        case .answer: answer(mustClose: false)
        case .answerThatCloses: answer(mustClose: true)
        case .stream: stream()
        case .write: write(4)
        case .writeTooMuch: write(ConnectionModel.streamedBytes + 1)
        case .endStream: endAnswer()
        case .abort: abort()
        case .pause, .resume, .wantsBody, .blocked, .unblocked: flow(event)
        case .inputClosed: inputClosed()
        case .quiesce: quiesce()
        case .endIdle: endIdle()
        case .failed: failed()
        }
    }

    private mutating func head(keepsAlive: Bool, expectsContinue: Bool) -> (String, String) {
        let was = state.receivedHead(keepsAlive: keepsAlive, expectsContinue: expectsContinue)
        guard !model.isLingering else { return ("\(was)", "false") }
        model.hasRequest = true
        model.keepsAlive = keepsAlive
        model.owesContinue = expectsContinue
        model.isPaused = false
        return ("\(was)", "true")
    }

    private mutating func body(_ bytes: Int) -> (String, String) {
        let was = state.receivedBody(bytes: bytes)
        if model.isLingering {
            model.lingered += bytes
            guard model.lingered > ConnectionState.maxLingeringBytes else { return ("\(was)", "discard") }
            model.finish()
            return ("\(was)", "close")
        }
        guard model.isAnswered else {
            model.owesContinue = false
            return ("\(was)", "deliver")
        }
        model.thrownAway += bytes
        guard model.thrownAway > ConnectionState.maxDiscardedBytes else { return ("\(was)", "discard") }
        model.linger()
        return ("\(was)", "linger")
    }

    private mutating func end() -> (String, String) {
        let was = state.receivedEnd()
        if model.isLingering { return ("\(was)", "ignore") }
        guard model.isAnswered else {
            model.requestIsComplete = true
            return ("\(was)", "deliver")
        }
        guard model.persists else {
            model.finish()
            return ("\(was)", "close")
        }
        model.forgetRequest()
        return ("\(was)", "next")
    }

    private mutating func begin(mustClose: Bool) -> (String, String) {
        let was = state.beginAnswer(mustClose: mustClose)
        let isUnknown = model.isReadingRequest && model.owesContinue
        if mustClose || isUnknown || model.isQuiescing || model.inputIsClosed { model.keepsAlive = false }
        return ("\(was)", "\(!model.keepsAlive)")
    }

    private mutating func answer(mustClose: Bool) -> (String, String) {
        let (saysClose, shouldSay) = begin(mustClose: mustClose)
        guard saysClose == shouldSay else { return (saysClose, shouldSay) }
        return endAnswer()
    }

    private mutating func stream() -> (String, String) {
        let result = begin(mustClose: false)
        state.streamsAnswer(bytes: ConnectionModel.streamedBytes)
        model.streamed = 0
        return result
    }

    private mutating func write(_ bytes: Int) -> (String, String) {
        let was = state.writesAnswer(bytes: bytes)
        let total = (model.streamed ?? 0) + bytes
        let fits = total <= ConnectionModel.streamedBytes
        if fits { model.streamed = total }
        return ("\(was)", "\(fits)")
    }

    private mutating func endAnswer() -> (String, String) {
        let was = state.endAnswer()
        model.isPaused = false
        if let streamed = model.streamed, streamed < ConnectionModel.streamedBytes {
            model.finish()
            return ("\(was)", "abort")
        }
        if model.requestIsComplete, model.persists {
            model.forgetRequest()
            return ("\(was)", "next")
        }
        if model.isReadingRequest, model.persists {
            model.isAnswered = true
            model.streamed = nil
            return ("\(was)", "discardRest")
        }
        if !model.requestIsComplete, !model.inputIsClosed {
            model.linger()
            return ("\(was)", "linger")
        }
        model.finish()
        return ("\(was)", "close")
    }

    private mutating func abort() -> (String, String) {
        state.abort()
        model.finish()
        return ("", "")
    }

    private mutating func flow(_ event: ConnectionEvent) -> (String, String) {
        switch event {
        case .pause:
            state.pauseInput()
            if model.isReadingRequest, !model.isAnswered { model.isPaused = true }
            return ("", "")
        case .resume:
            defer { model.isPaused = false }
            return ("\(state.resumeInput())", "\(model.isPaused)")
        case .wantsBody:
            let wants = model.isReadingRequest && !model.isAnswered && model.streamed == nil && model.owesContinue
            defer { if wants { model.owesContinue = false } }
            return ("\(state.wantsBody())", "\(wants)")
        default:
            model.isWritable = event == .unblocked
            state.writabilityChanged(event == .unblocked)
            return ("", "")
        }
    }

    private mutating func inputClosed() -> (String, String) {
        let was = state.inputClosed()
        model.inputIsClosed = true
        let someoneWaits = model.requestIsComplete || model.requestIsBroken
        guard !model.isOver, !someoneWaits else { return ("\(was)", "false") }
        model.finish()
        return ("\(was)", "true")
    }

    private mutating func quiesce() -> (String, String) {
        state.quiesce()
        model.isQuiescing = true
        return ("", "")
    }

    private mutating func endIdle() -> (String, String) {
        let was = state.endIdle()
        guard model.isIdle, model.isQuiescing else { return ("\(was)", "false") }
        model.finish()
        return ("\(was)", "true")
    }

    private mutating func failed() -> (String, String) {
        let was = state.failed()
        model.keepsAlive = false
        model.owesContinue = false
        if model.isOver || model.isLingering || model.isAnswered {
            model.finish()
            return ("\(was)", "close")
        }
        if model.streamed != nil {
            model.finish()
            return ("\(was)", "abort")
        }
        model.hasRequest = true
        model.requestIsComplete = false
        model.requestIsBroken = true
        return ("\(was)", "answer")
    }
}
