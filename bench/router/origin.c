/* The origin of bench/router: an HTTP/1.1 server that does as little as it can, so that it is not what is measured.
 *
 * One thread, epoll, answers from memory. The last word of the path says what is wanted:
 *   small   13 bytes                        vary   13 bytes under a head that differs each time
 *   64k, 1m bodies of that size             ws     101, then every byte comes back as it came
 * A request's body (Content-Length only) is read and thrown away. It binds a free port of 127.0.0.1 and prints it.
 * It trusts its peers: a benchmark's proxies on the same host.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "listen.h"

enum { BUFFER = 65536, EVENTS = 256 };

struct connection {
    int fd;
    int echo;  /* a tunnel since its 101 */
    int ends;  /* after this answer */
    size_t filled;
    size_t body;   /* of the request, still to come */
    const char *out;
    size_t left;   /* of `out` */
    char *own;     /* an answer made for one request */
    char in[BUFFER];
};

struct answer {
    const char *word;
    size_t size;
    char *bytes;
    size_t length;
};

static struct answer answers[] = {{"small", 13, 0, 0}, {"64k", 65536, 0, 0}, {"1m", 1048576, 0, 0}};
static const char switching[] =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
static unsigned serial;

static void prepare(struct answer *answer) {
    answer->bytes = malloc(answer->size + 256);
    if (!answer->bytes) die("malloc");
    int head = sprintf(answer->bytes,
                       "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: origin\r\n"
                       "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n\r\n", answer->size);
    memset(answer->bytes + head, 'x', answer->size);
    answer->length = (size_t)head + answer->size;
}

static void choose(struct connection *c, const char *line) {
    if (strstr(line, "/ws")) {
        c->echo = 1;
        c->out = switching;
        c->left = sizeof switching - 1;
        return;
    }
    if (strstr(line, "/vary") || c->ends) {
        if (!c->own && !(c->own = malloc(512))) die("malloc");
        c->left = (size_t)sprintf(c->own,
                                  "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: origin\r\n"
                                  "ETag: \"%08x\"\r\nSet-Cookie: last=%u; Path=/; HttpOnly\r\n"
                                  "Content-Type: text/plain; charset=utf-8\r\n%sContent-Length: 13\r\n\r\nxxxxxxxxxxxxx",
                                  serial * 2654435761u, serial, c->ends ? "Connection: close\r\n" : "");
        serial++;
        c->out = c->own;
        return;
    }
    struct answer *answer = &answers[0];
    for (size_t i = 1; i < sizeof answers / sizeof *answers; i++)
        if (strstr(line, answers[i].word)) answer = &answers[i];
    c->out = answer->bytes;
    c->left = answer->length;
}

/* Take the next whole request out of the buffer: 1 if there was one. */
static int next_request(struct connection *c) {
    char *end = memmem(c->in, c->filled, "\r\n\r\n", 4);
    if (!end) return 0;
    end[2] = 0; /* the head is text from here on */
    char *length = strcasestr(c->in, "\r\ncontent-length:");
    c->body = length ? strtoul(length + 17, 0, 10) : 0;
    c->ends = strcasestr(c->in, "\r\nconnection: close") != 0;
    char *line_end = strstr(c->in, "\r\n");
    *line_end = 0;
    choose(c, c->in);
    size_t head = (size_t)(end + 4 - c->in);
    memmove(c->in, c->in + head, c->filled - head);
    c->filled -= head;
    return 1;
}

static void skip_body(struct connection *c) {
    size_t part = c->filled < c->body ? c->filled : c->body;
    memmove(c->in, c->in + part, c->filled - part);
    c->filled -= part;
    c->body -= part;
}

/* 0: everything is out; 1: the kernel takes no more now; -1: gone. */
static int flush(struct connection *c) {
    while (c->left) {
        ssize_t sent = send(c->fd, c->out, c->left, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN ? 1 : -1;
        c->out += sent;
        c->left -= (size_t)sent;
    }
    return 0;
}

/* Do all that can be done now; -1: close. */
static int serve(struct connection *c) {
    for (;;) {
        if (c->body) skip_body(c);
        if (!c->body && c->left) {
            int state = flush(c);
            if (state) return state;
            if (c->ends) return -1;
        }
        if (c->echo && c->filled) {
            c->out = c->in;
            c->left = c->filled;
            c->filled = 0;
            continue;
        }
        if (!c->echo && !c->body && c->filled && next_request(c)) continue;
        if (c->filled == BUFFER) return -1;
        ssize_t got = recv(c->fd, c->in + c->filled, BUFFER - c->filled, 0);
        if (got < 0 && errno == EAGAIN) return 1;
        if (got <= 0) return -1;
        c->filled += (size_t)got;
    }
}

static void accept_all(int listener, int poll) {
    for (;;) {
        int fd = accept4(listener, 0, 0, SOCK_NONBLOCK);
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct connection *c = calloc(1, sizeof *c);
        if (!c) die("calloc");
        c->fd = fd;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data.ptr = c};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
    }
}

int main(void) {
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) prepare(&answers[i]);
    int listener = listening(), poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, events[EVENTS];
    if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event)) die("epoll");
    for (;;) {
        int count = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                accept_all(listener, poll);
            } else if (serve(c) < 0) {
                close(c->fd);
                free(c->own);
                free(c);
            }
        }
    }
}
