import DexatelAPI
import Foundation
import Testing

@Suite struct DexatelErrorTests {
    @Test(arguments: [
        (1351, 404, "Contact is not found"), (1352, 400, "Invalid contact identifier"),
        (1353, 400, "'data.number' is required"), (1354, 400, "'data.number' is invalid"),
        (1355, 400, "'data.number' is too long"), (1359, 400, "'data.tags' must be at most [10] items in length"),
        (1360, 409, "Contact already exists"), (1361, 400, "First name is too long"),
        (1362, 400, "Last name is too long"), (1363, 400, "Timestamp value is too long"),
        (1364, 400, "Date value is too long"),
    ])
    func `codes have the upstream's statuses and messages`(code: Int, status: Int, message: String) throws {
        let error = try #require(DexatelErrorCode(rawValue: code))
        #expect(error.status == status)
        #expect(error.message == message)
    }

    @Test func `there are eleven codes`() {
        #expect(DexatelErrorCode.allCases.count == 11)
        #expect(DexatelErrorCode(rawValue: 1356) == nil)
    }

    private let body = DexatelErrorBody(
        timestamp: "2026-01-02 03:04:05",
        path: "/v1/x",
        method: "PUT",
        status: 400,
        message: "Invalid contact identifier",
        code: 1352
    )

    @Test func `a body is rendered in the upstream's shape and order`() {
        let expected =
            #"{"errors":[{"timestamp":"2026-01-02 03:04:05","path":"/v1/x","method":"PUT","status":400,"#
            + #""message":"Invalid contact identifier","code":1352}]}"#
        #expect(String(decoding: body.rendered(), as: UTF8.self) == expected)
        #expect(firstCode(body.rendered()) == 1352)
    }

    @Test func `whatever the path and message hold, the body stays JSON with those values`() throws {
        var body = body
        body.path = "/\"\\\n\u{0}\u{1f}é😀</script>"
        body.message = "\u{7f}\u{2028}\r\t"
        body.code = 0
        let object = try #require(try JSONSerialization.jsonObject(with: Data(body.rendered())) as? [String: Any])
        let error = try #require((object["errors"] as? [[String: Any]])?.first)
        #expect(error["path"] as? String == body.path)
        #expect(error["message"] as? String == body.message)
        #expect(error["code"] as? Int == 0)
        #expect(error["status"] as? Int == 400)
        #expect(body.rendered().withUnsafeBytes { JSONDocument.isObject($0) })
    }

    private func firstCode(_ bytes: [UInt8]) -> Int? {
        bytes.withUnsafeBytes { DexatelErrorBody.firstCode(in: $0) }
    }

    @Test(arguments: [
        (#"{"errors":[{"code":1351}]}"#, 1351),
        (#" { "x" : [1] , "errors" : [ { "a":{"code":1}, "code" : -7 } ] } "#, -7),
        (#"{"errors":[{"code":1351},{"code":1352}]}"#, 1351), (#"{"err\u006Frs":[{"c\u006Fde":0}]}"#, 0),
    ])
    func `the first code of an upstream's error is found`(text: String, code: Int) {
        #expect(firstCode(Array(text.utf8)) == code)
    }

    @Test(arguments: [
        "", "[]", "{}", "<html>404</html>", #"{"errors":[]}"#, #"{"errors":{"code":1351}}"#, #"{"errors":[1351]}"#,
        #"{"errors":[{}]}"#, #"{"errors":[{"code":"1351"}]}"#, #"{"errors":[{"code":1351.0}]}"#,
        #"{"errors":[{"code":1e3}]}"#, #"{"errors":[{"code":99999999999999999999}]}"#, #"{"errors":[{"code":null}]}"#,
        #"{"errors":[{},{"code":1351}]}"#, #"[{"errors":[{"code":1351}]}]"#, #"{"data":{"errors":[{"code":1351}]}}"#,
        #"{"errors":[{"code":1351}]"#, #"{"errors":[{"code":1351}]}x"#, #"{"errors":[{"code":1351,"code":1351}]}"#,
        #"{"errors":[{"code":1351}],"errors":[]}"#, #"{"errors":[{"code":1351},7]}"#,
        #"{"errors":[{"a":{"code":1351}}]}"#,
        #"{"Errors":[{"code":1351}]}"#, #"{"errors":[[{"code":1351}]]}"#,
    ])
    func `another body has no code`(text: String) {
        #expect(firstCode(Array(text.utf8)) == nil)
    }
}
