/// Why a request is not served, whatever it asks for.
enum ClientRefusal: Error, Equatable {
    /// No `Host`, more than one, or something that is none (RFC 9112 §3.2).
    case hostMalformed
    /// The relay does not go by this name.
    case hostNotAllowed
    /// The request was sent by this relay: it goes round in a loop (RFC 9110 §7.6.3).
    case forwardingLoop
    /// A page of another site has its browser ask.
    case originNotAllowed
    /// A proxy asks for somebody on another host.
    case forwardedNotAllowed
    /// A user who may not use the Unix socket.
    case peerNotAllowed
    /// The relay has an API key to send and no way to tell who may have it sent.
    case nobodyAdmitted
    case tokenMissing
    case tokenRefused
    /// The relay sends its own key.
    case keyNotAccepted
    /// The client's API key is no API key: too long, or not visible ASCII.
    case keyMalformed
}
