// An upstream that is never the bottleneck: one thread and one epoll loop, which answers each request with the same
// bytes, whatever its method, and counts what it has seen.
//
// usage: quick-upstream PORT FILE [LATENCY_MS]        FILE holds the whole reply, head and body
//
// A request is a head and as many bytes as its Content-Length says; a chunked body closes the connection, which a
// benchmark sees as an error. GET /counts is answered at once, and not counted: {"GET":1,"PUT":2,"POST":3,"other":0}.
// With LATENCY_MS each other reply goes out so long after its request, as it would with such a round-trip time.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_REQUEST_BYTES = 65536, MAX_EVENTS = 256, MAX_REPLY_BYTES = 65536 };

struct connection {
    int fd;
    // Replies that are due later refer to it.
    size_t waiting;
    bool is_closed;
    size_t length;
    char bytes[MAX_REQUEST_BYTES + 1];
};

/// A reply that is held back; they are due in the order in which they were asked for.
struct later {
    uint64_t due_ns;
    struct connection *connection;
    struct later *next;
};

static char reply[MAX_REPLY_BYTES];
static size_t reply_bytes;
static uint64_t latency_ns;
static struct later *first_later, **last_later = &first_later;

static const char *const methods[] = {"GET", "PUT", "POST"};
enum { METHODS = sizeof methods / sizeof *methods };
/// By the index in `methods`, and at the end all others.
static uint64_t counts[METHODS + 1];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void read_reply(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    reply_bytes = fread(reply, 1, sizeof reply, file);
    if (reply_bytes == 0 || reply_bytes == sizeof reply) {
        fprintf(stderr, "%s: must hold a reply of at most %d bytes\n", path, MAX_REPLY_BYTES - 1);
        exit(1);
    }
    fclose(file);
}

static int listener(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) fail("socket");
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1024) < 0) fail("bind");
    return fd;
}

static void take(int epoll, int server) {
    for (;;) {
        int fd = accept4(server, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) return;
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *connection = malloc(sizeof *connection);
        if (!connection) fail("malloc");
        connection->fd = fd;
        connection->waiting = connection->length = 0;
        connection->is_closed = false;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
    }
}

static void drop(struct connection *connection) {
    if (!connection->is_closed) close(connection->fd);
    connection->is_closed = true;
    if (connection->waiting == 0) free(connection);
}

/// Writes a reply; false when it does not fit into the socket's buffer, or the peer has gone.
static bool send_bytes(struct connection *connection, const char *bytes, size_t count) {
    return write(connection->fd, bytes, count) == (ssize_t)count;
}

static bool tell_counts(struct connection *connection) {
    char body[160], whole[320];
    int length = snprintf(body, sizeof body, "{\"GET\":%llu,\"PUT\":%llu,\"POST\":%llu,\"other\":%llu}",
                          (unsigned long long)counts[0], (unsigned long long)counts[1],
                          (unsigned long long)counts[2], (unsigned long long)counts[3]);
    length = snprintf(whole, sizeof whole,
                      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", length, body);
    return send_bytes(connection, whole, (size_t)length);
}

static bool answer(struct connection *connection, const char *head) {
    if (strncmp(head, "GET /counts ", 12) == 0) return tell_counts(connection);
    size_t method = 0;
    for (; method < METHODS; method++) {
        size_t length = strlen(methods[method]);
        if (strncmp(head, methods[method], length) == 0 && head[length] == ' ') break;
    }
    counts[method]++;
    if (latency_ns == 0) return send_bytes(connection, reply, reply_bytes);
    struct later *later = malloc(sizeof *later);
    if (!later) fail("malloc");
    *later = (struct later){.due_ns = now_ns() + latency_ns, .connection = connection};
    *last_later = later;
    last_later = &later->next;
    connection->waiting++;
    return true;
}

/// Reads once and answers every request that is complete; false when the connection is to be closed.
static bool serve(struct connection *connection) {
    size_t room = MAX_REQUEST_BYTES - connection->length;
    ssize_t count = read(connection->fd, connection->bytes + connection->length, room);
    if (count <= 0) return count < 0 && errno == EAGAIN;
    connection->length += (size_t)count;
    char *rest = connection->bytes, *end = connection->bytes + connection->length;
    for (char *stop; (stop = memmem(rest, (size_t)(end - rest), "\r\n\r\n", 4));) {
        // The head is a string while it is looked at.
        *stop = '\0';
        const char *field = strcasestr(rest, "\r\ncontent-length:");
        size_t body = field ? strtoul(field + 17, NULL, 10) : 0;
        bool is_chunked = !field && strcasestr(rest, "\r\ntransfer-encoding:");
        *stop = '\r';
        if (is_chunked || body > MAX_REQUEST_BYTES) return false;
        if ((size_t)(end - stop) < 4 + body) break;
        if (!answer(connection, rest)) return false;
        rest = stop + 4 + body;
    }
    size_t left = (size_t)(end - rest);
    if (left == MAX_REQUEST_BYTES) return false;
    memmove(connection->bytes, rest, left);
    connection->length = left;
    return true;
}

/// Sends what is due, and tells for how many milliseconds nothing more will be: -1 for ever.
static int send_due(void) {
    while (first_later) {
        uint64_t now = now_ns();
        if (first_later->due_ns > now) return (int)((first_later->due_ns - now + 999999) / 1000000);
        struct later *later = first_later;
        struct connection *connection = later->connection;
        if (!(first_later = later->next)) last_later = &first_later;
        free(later);
        connection->waiting--;
        if (connection->is_closed || !send_bytes(connection, reply, reply_bytes)) drop(connection);
    }
    return -1;
}

int main(int count, char **arguments) {
    if (count != 3 && count != 4) {
        fprintf(stderr, "usage: quick-upstream PORT FILE [LATENCY_MS]\n");
        return 64;
    }
    read_reply(arguments[2]);
    latency_ns = count == 4 ? strtoull(arguments[3], NULL, 10) * 1000000 : 0;
    int server = listener((uint16_t)atoi(arguments[1]));
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[MAX_EVENTS];
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, server, &event) < 0) fail("epoll");
    for (;;) {
        int ready = epoll_wait(epoll, events, MAX_EVENTS, send_due());
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        for (int index = 0; index < ready; index++) {
            struct connection *connection = events[index].data.ptr;
            if (!connection) take(epoll, server);
            else if (!serve(connection)) drop(connection);
        }
    }
}
