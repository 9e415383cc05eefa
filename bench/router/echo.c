/* The WebSocket load of bench/router: every connection has one message on its way, and sends the next when it is back.
 *
 *   echo PORT PATH CONNECTIONS SIZE SECONDS
 *
 * One thread, epoll. The frames are masked binary ones of SIZE bytes (at most 125); the origin sends them back as they
 * are, which proxies can not tell from an answer. Prints one line of JSON: messages, errors, time and percentiles in µs.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SIZE = 125, EVENTS = 256, SLOTS = 1000000 }; /* latencies up to a second, one slot for each µs */

struct connection {
    int fd;
    long sent_at;
    size_t missing;
};

static unsigned histogram[SLOTS];
static char frame[MAX_SIZE + 6];
static size_t frame_size;

static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int opened(int port, const char *path) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char text[1024];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    int length = snprintf(text, sizeof text,
                          "GET %s HTTP/1.1\r\nHost: bench.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path);
    if (send(fd, text, (size_t)length, MSG_NOSIGNAL) != length) die("send");
    size_t got = 0;
    while (got < 4 || memcmp(text + got - 4, "\r\n\r\n", 4)) { /* byte by byte: once per connection */
        if (got == sizeof text || recv(fd, text + got, 1, 0) != 1) die("no whole answer to the upgrade");
        got++;
    }
    if (got < 12 || memcmp(text + 9, "101", 3)) die("not a 101");
    return fd;
}

static int post(struct connection *c) {
    c->sent_at = now();
    c->missing = frame_size;
    return send(c->fd, frame, frame_size, MSG_NOSIGNAL) == (ssize_t)frame_size;
}

static long percentile(long total, double share) {
    long seen = 0, wanted = (long)((double)total * share);
    for (long slot = 0; slot < SLOTS; slot++)
        if ((seen += histogram[slot]) > wanted) return slot;
    return SLOTS;
}

int main(int count, char **words) {
    if (count != 6) die("usage: echo PORT PATH CONNECTIONS SIZE SECONDS");
    int connections = atoi(words[3]), poll = epoll_create1(0);
    size_t size = strtoul(words[4], 0, 10);
    struct connection *all = calloc((size_t)connections, sizeof *all);
    struct epoll_event events[EVENTS];
    if (!all || poll < 0 || size > MAX_SIZE) die("arguments");
    frame[0] = (char)0x82;
    frame[1] = (char)(0x80 | size);
    frame_size = size + 6;
    for (int i = 0; i < connections; i++) {
        all[i].fd = opened(atoi(words[1]), words[2]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event)) die("epoll_ctl");
    }
    long messages = 0, errors = 0, begin = now(), end = begin + (long)(atof(words[5]) * 1e6);
    for (int i = 0; i < connections; i++) errors += !post(&all[i]);
    while (now() < end && errors < connections) {
        int ready = epoll_wait(poll, events, EVENTS, 100);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            char back[MAX_SIZE + 6];
            ssize_t got = recv(c->fd, back, sizeof back, MSG_DONTWAIT);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 0 || (size_t)got > c->missing) {
                errors++;
                close(c->fd);
                continue;
            }
            if (c->missing -= (size_t)got) continue;
            long took = now() - c->sent_at;
            histogram[took < SLOTS ? took : SLOTS - 1]++;
            messages++;
            errors += !post(c);
        }
    }
    printf("{\"requests\": %ld, \"errors\": %ld, \"duration_us\": %ld, \"p50_us\": %ld, \"p99_us\": %ld}\n", messages,
           errors, now() - begin, percentile(messages, 0.5), percentile(messages, 0.99));
    return 0;
}
