import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Pattern;

/**
 * The HTTP client of the JDK as it comes: over plain HTTP it offers to upgrade to HTTP/2 (h2c) with each request, and goes on in
 * HTTP/1.1 on the same connection when nobody takes the offer (RFC 9110 §7.8).
 *
 * usage: java JdkClient.java URL KEY LIST CONTACT: the paths of contacts that exist
 *
 * Prints a line for each scene; the first one that does not hold ends it with status 1.
 */
public class JdkClient {
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    private final HttpClient client = HttpClient.newBuilder().connectTimeout(PATIENCE).build();
    private final String url, key;

    JdkClient(String url, String key) {
        this.url = url;
        this.key = key;
    }

    public static void main(String[] arguments) throws Exception {
        var program = new JdkClient(arguments[0], arguments[1]);
        String list = arguments[2], contact = arguments[3];
        scene("reads twice on one connection", () -> program.readsTwice(contact));
        scene("writes, waiting for the upstream's reply", () -> program.writes(contact));
        scene("writes, and follows the receipt", () -> program.writesAsynchronously(contact));
        scene("posts, and gets the upstream's reply", () -> program.posts(list));
        scene("deletes", () -> program.deletes(contact));
        scene("used one connection for all of that", program::usedOneConnection);
        scene("reads on many connections at a time", () -> program.readsInParallel(list));
    }

    private interface Scene {
        void play() throws Exception;
    }

    private static void scene(String name, Scene scene) {
        try {
            scene.play();
            System.out.println("holds: " + name);
        } catch (Exception | AssertionError failure) {
            System.out.println("FAILS: " + name + ": " + failure);
            System.exit(1);
        }
    }

    private static void expect(boolean holds, String what, HttpResponse<String> reply) {
        if (!holds) {
            throw new AssertionError(what + ": " + reply.statusCode() + " " + reply.headers().map() + " " + reply.body());
        }
    }

    private HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create(url + path)).timeout(PATIENCE).header("X-Dexatel-Key", key);
    }

    private HttpResponse<String> send(HttpRequest.Builder request) throws Exception {
        var reply = client.send(request.build(), BodyHandlers.ofString());
        expect(reply.version() == HttpClient.Version.HTTP_1_1, "the offer to upgrade is not taken", reply);
        return reply;
    }

    private HttpRequest.Builder put(String path, String firstName) {
        var body = "{\"data\":{\"first_name\":\"" + firstName + "\"}}";
        return request(path).header("Content-Type", "application/json").PUT(BodyPublishers.ofString(body));
    }

    private void readsTwice(String contact) throws Exception {
        var first = send(request(contact));
        expect(first.statusCode() == 200, "a contact", first);
        for (int count = 0; count < 5; count++) {
            var again = send(request(contact));
            expect(again.statusCode() == 200 && again.body().equals(first.body()), "the same again", again);
            expect(again.headers().firstValue("Cache-Status").orElse("").contains("hit"), "from the cache", again);
        }
    }

    private void writes(String contact) throws Exception {
        for (var name : List.of("Ada", "Augusta")) {
            var written = send(put(contact, name));
            expect(written.statusCode() == 200, "the upstream's own reply", written);
            expect(written.headers().firstValue("Contact-Relay-Write").isPresent(), "a receipt", written);
            var read = send(request(contact));
            expect(read.body().contains("\"" + name + "\""), "what was written", read);
        }
    }

    private void writesAsynchronously(String contact) throws Exception {
        var written = send(put(contact, "Byron").header("Prefer", "respond-async"));
        expect(written.statusCode() == 202, "accepted", written);
        var receipt = written.headers().firstValue("Location").orElseThrow();
        var end = System.nanoTime() + PATIENCE.toNanos();
        HttpResponse<String> state;
        do {
            state = send(request(receipt));
            expect(state.statusCode() == 200, "the receipt", state);
            expect(System.nanoTime() < end, "delivered in time", state);
        } while (!state.body().contains("\"delivered\""));
        var read = send(request(contact));
        expect(read.body().contains("\"Byron\""), "what was written", read);
    }

    private void posts(String list) throws Exception {
        for (int count = 0; count < 2; count++) {
            var body = BodyPublishers.ofString("{\"data\":{\"number\":\"3740000000" + count + "\"}}");
            var reply = send(request(list).header("Content-Type", "application/json").POST(body));
            expect(reply.statusCode() != 501 && reply.statusCode() < 502, "passed through", reply);
            expect(reply.headers().firstValue("Contact-Relay-Error").isEmpty(), "no error of the relay", reply);
            expect(reply.headers().firstValue("Via").isPresent(), "by way of the relay", reply);
        }
    }

    private void deletes(String contact) throws Exception {
        var deleted = send(request(contact).DELETE());
        expect(deleted.statusCode() / 100 == 2, "deleted", deleted);
        var read = send(request(contact));
        expect(read.statusCode() == 404, "gone", read);
    }

    private void usedOneConnection() throws Exception {
        var status = send(request("/_relay/status"));
        var connections = Pattern.compile("\"connections\"\\s*:\\s*1\\b").matcher(status.body());
        expect(connections.find(), "one connection", status);
    }

    private void readsInParallel(String list) throws Exception {
        List<CompletableFuture<HttpResponse<String>>> replies = new ArrayList<>();
        for (int count = 0; count < 200; count++) {
            replies.add(client.sendAsync(request(list + "?page_size=" + (count % 7 + 1)).build(), BodyHandlers.ofString()));
        }
        for (var reply : replies) expect(reply.get().statusCode() == 200, "a list", reply.get());
    }
}
