/* The floor of bench/router for bodies: a relay that knows no HTTP, only moves bytes, and lets the kernel do that.
 *
 *   relay ORIGIN_PORT
 *
 * One thread, epoll. For each connection it makes one to the origin, and splice(2) moves what comes, both ways, through
 * a pipe for each way, as large as tqunits' (proxy/transport/relay.py). What a MiB costs here is what the kernel takes to move it
 * this way: a proxy that splices has that to pay, and reads HTTP besides.
 *
 * epoll is edge-triggered: a way moves until the kernel says EAGAIN, and nothing is registered twice. An end on either
 * side ends both, since neither the load nor the origin closes half. It binds a free port of 127.0.0.1 and prints it.
 * It trusts its peers: a benchmark on the same host.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "listen.h"

enum { PIPE = 262144, EVENTS = 256 };

struct link;

/* One of the two sockets of a link, and the way of what comes from it. */
struct side {
    struct link *link;
    struct side *other;
    int fd;
    int pipe[2];
    size_t held; /* in the pipe: the other side did not take it yet */
};

struct link {
    struct side client, origin;
    struct link *next; /* of those that have ended */
    int ended;
};

/* Bytes moved, 0: not now; -1: an end, or an error, which is one. */
static ssize_t move(int from, int to, size_t size) {
    ssize_t moved = splice(from, 0, to, 0, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved < 0) return errno == EAGAIN ? 0 : -1;
    return moved ? moved : -1;
}

/* Move what comes from this side until the kernel has no more, or takes no more; -1: an end. */
static int relay(struct side *from) {
    for (;;) {
        while (from->held) {
            ssize_t sent = move(from->pipe[0], from->other->fd, from->held);
            if (sent <= 0) return (int)sent;
            from->held -= (size_t)sent;
        }
        ssize_t got = move(from->fd, from->pipe[1], PIPE);
        if (got <= 0) return (int)got;
        from->held = (size_t)got;
    }
}

/* What a side has to tell. While something is held, what comes on the same way can wait: it is moved behind it. */
static int serve(struct side *side, uint32_t events) {
    if (events & EPOLLOUT && side->other->held && relay(side->other)) return -1;
    return events & ~(uint32_t)EPOLLOUT && !side->held ? relay(side) : 0;
}

static void join(struct link *link, struct side *side, struct side *other, int fd, int poll) {
    *side = (struct side){.link = link, .other = other, .fd = fd};
    if (pipe2(side->pipe, O_NONBLOCK) || fcntl(side->pipe[1], F_SETPIPE_SZ, PIPE) < 0) die("pipe");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = side};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
}

static int connected(int port) {
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) die("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) die("connect");
    return fd;
}

static void accept_all(int listener, int poll, int port) {
    for (;;) {
        int fd = accept4(listener, 0, 0, SOCK_NONBLOCK);
        if (fd < 0) return;
        struct link *link = calloc(1, sizeof *link);
        if (!link) die("calloc");
        join(link, &link->client, &link->origin, fd, poll);
        join(link, &link->origin, &link->client, connected(port), poll);
    }
}

static void leave(struct side *side) {
    close(side->fd);
    close(side->pipe[0]);
    close(side->pipe[1]);
}

/* An end closes both sides; the memory stays while events of the other may still be at hand. */
static struct link *ended(struct link *link, struct link *before) {
    leave(&link->client);
    leave(&link->origin);
    link->ended = 1;
    link->next = before;
    return link;
}

static void release(struct link *link) {
    while (link) {
        struct link *next = link->next;
        free(link);
        link = next;
    }
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    signal(SIGPIPE, SIG_IGN); /* splice(2) has no MSG_NOSIGNAL */
    int port = atoi(arguments[1]), listener = listening(), poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, events[EVENTS];
    if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event)) die("epoll");
    for (;;) {
        struct link *over = 0;
        int ready = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct side *side = events[i].data.ptr;
            if (!side)
                accept_all(listener, poll, port);
            else if (!side->link->ended && serve(side, events[i].events))
                over = ended(side->link, over);
        }
        release(over);
    }
}
