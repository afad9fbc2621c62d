import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

extension UpstreamFailure {
    /// Names what async-http-client, NIO or TLS reported.
    ///
    /// `mayHaveTakenEffect` is false only for errors that can occur before the request's first byte and at no
    /// other time.
    init(cause: any Error, from upstream: UpstreamURL) {
        let place = "\(upstream.host):\(upstream.port)"
        switch cause {
        case let failure as UpstreamFailure:
            self = failure
        case let error as HTTPClientError:
            self.init(clientError: error, place)
        case let error as IOError where Self.isShortage(error):
            self.init(noDescriptorFor: place, Self.text(of: error))
        case let error as NIOConnectionError where Self.isShortage(error):
            self.init(noDescriptorFor: place, "no descriptor is free")
        case let error as NIOConnectionError:
            let reason =
                error.connectionErrors.first.map { Self.text(of: $0.error) }
                ?? (error.dnsAError ?? error.dnsAAAAError).map { "no address: \(Self.text(of: $0))" }
                ?? "no address"
            self.init(.unreachable, "cannot connect to \(place): \(reason)", mayHaveTakenEffect: false)
        case ChannelError.connectTimeout:
            self.init(.unreachable, "connecting to \(place) took too long", mayHaveTakenEffect: false)
        case let error as IOError where error.errnoCode == ECONNREFUSED:
            self.init(.unreachable, "cannot connect to \(place): connection refused", mayHaveTakenEffect: false)
        case NIOSSLError.handshakeFailed, NIOSSLError.unableToValidateCertificate, NIOSSLError.noCertificateToValidate:
            self.init(.unreachable, "TLS handshake with \(place) failed: \(cause)", mayHaveTakenEffect: false)
        case let error as NIOSSLExtraError where error == .failedToValidateHostname:
            self.init(.unreachable, "the certificate of \(place) is for another name", mayHaveTakenEffect: false)
        case HTTPParserError.invalidEOFState:
            self.init(.connectionReset, "\(place) closed the connection within a reply", mayHaveTakenEffect: true)
        case is HTTPParserError, is NIOHTTPDecoderError:
            self.init(.malformedReply, "\(place) sent something other than HTTP: \(cause)", mayHaveTakenEffect: true)
        case is CancellationError:
            self.init(.cancelled, "the request was cancelled", mayHaveTakenEffect: true)
        default:
            let reason = Self.text(of: cause)
            self.init(.connectionReset, "the connection to \(place) broke: \(reason)", mayHaveTakenEffect: true)
        }
    }

    private init(clientError error: HTTPClientError, _ place: String) {
        switch error {
        case .connectTimeout where Self.isExhausted, .getConnectionFromPoolTimeout where Self.isExhausted:
            self.init(noDescriptorFor: place, "no descriptor is free")
        case .connectTimeout, .getConnectionFromPoolTimeout, .tlsHandshakeTimeout:
            // The pool never lacks a free connection (ConnectionSlots), so waiting for one in vain means that
            // it could not be made.
            self.init(.unreachable, "connecting to \(place) took too long", mayHaveTakenEffect: false)
        case .deadlineExceeded, .readTimeout, .writeTimeout:
            self.init(.timeout, "\(place) did not answer in time", mayHaveTakenEffect: true)
        case .cancelled:
            self.init(.cancelled, "the request was cancelled", mayHaveTakenEffect: true)
        case .alreadyShutdown:
            self.init(.shutdown, "the relay is shutting down", mayHaveTakenEffect: false)
        case .remoteConnectionClosed, .uncleanShutdown:
            self.init(.connectionReset, "\(place) closed the connection without a reply", mayHaveTakenEffect: true)
        case .traceRequestWithBody, .invalidURL:
            self.init(.invalidRequest, error.shortDescription, mayHaveTakenEffect: false)
        default:
            // The long description can contain header values; the short one never does.
            let text = error.shortDescription
            let isHeader =
                text == HTTPClientError.invalidHeaderFieldNames([]).shortDescription
                || text == HTTPClientError.invalidHeaderFieldValues([]).shortDescription
            self.init(isHeader ? .invalidRequest : .connectionReset, text, mayHaveTakenEffect: !isHeader)
        }
    }

    /// What is lacking here says nothing of the upstream.
    private init(noDescriptorFor place: String, _ reason: String) {
        self.init(.noDescriptor, "no connection to \(place) can be opened here: \(reason)", mayHaveTakenEffect: false)
    }

    private static func isShortage(_ error: any Error) -> Bool {
        guard let number = (error as? IOError)?.errnoCode else { return false }
        return [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(number)
    }

    /// Without a descriptor a name cannot be looked up, either, and that error does not say why.
    private static func isShortage(_ error: NIOConnectionError) -> Bool {
        guard error.connectionErrors.isEmpty else { return error.connectionErrors.allSatisfy { isShortage($0.error) } }
        return isExhausted
    }

    /// Whether no file can be opened just now.
    private static var isExhausted: Bool {
        let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return isShortage(IOError(errnoCode: errno, reason: "open")) }
        close(descriptor)
        return false
    }

    /// System errors in their own words; everything else by its kind, as descriptions may quote what was sent.
    private static func text(of error: any Error) -> String {
        switch error {
        case let error as IOError: error.description
        case let error as ChannelError: "\(error)"
        case let error as SocketAddressError: "\(error)"
        case let error as HTTPClientError: error.shortDescription
        default: "\(type(of: error))"
        }
    }
}
