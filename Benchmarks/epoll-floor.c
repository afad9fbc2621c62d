// The least that a server can do for a GET: one thread and one epoll loop, which answers each request head with the
// same bytes. What it takes is what the kernel takes: nothing below it is to be had with sockets and one process.
//
// usage: epoll-floor PORT FILE        FILE holds the whole reply, head and body
//
// A request is whatever ends with an empty line; requests must have no body. A client that is so slow that a reply does
// not fit into its socket's buffer is dropped: a benchmark sees that as an error.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_HEAD_BYTES = 16384, MAX_EVENTS = 256, MAX_PIPELINED = 64, MAX_REPLY_BYTES = 65536 };

struct connection {
    int fd;
    size_t length;
    char bytes[MAX_HEAD_BYTES];
};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/// As many copies of the reply as a read may have requests, one behind the other.
static char *replies;
static size_t reply_bytes;

static void read_reply(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    char reply[MAX_REPLY_BYTES];
    reply_bytes = fread(reply, 1, sizeof reply, file);
    if (reply_bytes == 0 || reply_bytes == sizeof reply) {
        fprintf(stderr, "%s: must hold a reply of at most %d bytes\n", path, MAX_REPLY_BYTES - 1);
        exit(1);
    }
    fclose(file);
    replies = malloc(reply_bytes * MAX_PIPELINED);
    if (!replies) fail("malloc");
    for (size_t index = 0; index < MAX_PIPELINED; index++) memcpy(replies + index * reply_bytes, reply, reply_bytes);
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
        connection->length = 0;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
    }
}

static void drop(struct connection *connection) {
    close(connection->fd);
    free(connection);
}

/// Reads once and answers every request that is complete.
static void serve(struct connection *connection) {
    ssize_t count = read(connection->fd, connection->bytes + connection->length, MAX_HEAD_BYTES - connection->length);
    if (count <= 0) {
        if (count == 0 || errno != EAGAIN) drop(connection);
        return;
    }
    connection->length += (size_t)count;
    char *rest = connection->bytes, *end = connection->bytes + connection->length;
    size_t requests = 0;
    for (char *stop; (stop = memmem(rest, (size_t)(end - rest), "\r\n\r\n", 4)); rest = stop + 4) requests++;
    size_t left = (size_t)(end - rest);
    if (requests > MAX_PIPELINED || left == MAX_HEAD_BYTES) return drop(connection);
    if (requests > 0) {
        size_t wanted = requests * reply_bytes;
        if (write(connection->fd, replies, wanted) != (ssize_t)wanted) return drop(connection);
        memmove(connection->bytes, rest, left);
        connection->length = left;
    }
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: epoll-floor PORT FILE\n");
        return 64;
    }
    read_reply(arguments[2]);
    int server = listener((uint16_t)atoi(arguments[1]));
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[MAX_EVENTS];
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, server, &event) < 0) fail("epoll");
    for (;;) {
        int ready = epoll_wait(epoll, events, MAX_EVENTS, -1);
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        for (int index = 0; index < ready; index++) {
            if (events[index].data.ptr) serve(events[index].data.ptr);
            else take(epoll, server);
        }
    }
}
