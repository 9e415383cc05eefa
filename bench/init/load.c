/* The load of bench/init: keeps N connections busy, each with one request at a time.

       load PORT-OR-SOCKET CONNECTIONS SECONDS

   A response ends with its Content-Length, its last chunk, or its connection, which is then opened again. Prints how
   many were whole, how many failed, and in how many seconds. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX 256

static const char REQUEST[] = "GET / HTTP/1.1\r\nHost: bench.example\r\n\r\n";

struct answer {
	char text[8192];
	size_t length;
};

static struct answer answers[MAX];
static struct pollfd polled[MAX];
static long whole, failed;

static double now(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec + at.tv_nsec / 1e9;
}

static int opened(const char *address)
{
	int on = 1, fd = socket(address[0] == '/' ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
	struct sockaddr_un path = {.sun_family = AF_UNIX};
	struct sockaddr_in port = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *to = address[0] == '/' ? (struct sockaddr *)&path : (struct sockaddr *)&port;
	snprintf(path.sun_path, sizeof path.sun_path, "%s", address);
	port.sin_port = htons(atoi(address));
	if (connect(fd, to, address[0] == '/' ? sizeof path : sizeof port)) {
		perror("connect");
		exit(1);
	}
	if (address[0] != '/')
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

static void ask(int at, const char *address)
{
	answers[at].length = 0;
	if (send(polled[at].fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL) < 0) { /* it has closed behind its answer */
		close(polled[at].fd);
		polled[at].fd = opened(address);
		if (send(polled[at].fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL) < 0)
			failed++;
	}
}

static int is_whole(struct answer *answer, int at_end)
{
	answer->text[answer->length] = 0;
	char *body = strstr(answer->text, "\r\n\r\n"), *field;
	if (!body)
		return 0;
	*body = 0; /* the head as a text of its own */
	field = strcasestr(answer->text, "\r\nContent-Length:");
	int chunked = strcasestr(answer->text, "\r\nTransfer-Encoding:") != NULL;
	*body = '\r';
	if (field)
		return body + 4 + atoi(field + 17) <= answer->text + answer->length;
	return chunked ? strstr(body, "\r\n0\r\n\r\n") != NULL : at_end;
}

static void take(int at, const char *address)
{
	struct answer *answer = &answers[at];
	ssize_t got = recv(polled[at].fd, answer->text + answer->length, sizeof answer->text - 1 - answer->length, 0);
	if (got > 0)
		answer->length += got;
	int complete = is_whole(answer, got <= 0);
	if (complete)
		whole++;
	else if (got <= 0 && answer->length)
		failed++;
	if (got <= 0) {
		close(polled[at].fd);
		polled[at].fd = opened(address);
	}
	if (complete || got <= 0)
		ask(at, address);
}

int main(int count, char **arguments)
{
	if (count != 4 || atoi(arguments[2]) > MAX)
		return 2;
	int connections = atoi(arguments[2]);
	double begin = now(), end = begin + atof(arguments[3]);
	for (int at = 0; at < connections; at++) {
		polled[at] = (struct pollfd){.fd = opened(arguments[1]), .events = POLLIN};
		ask(at, arguments[1]);
	}
	while (now() < end)
		if (poll(polled, connections, 100) > 0)
			for (int at = 0; at < connections; at++)
				if (polled[at].revents)
					take(at, arguments[1]);
	printf("%ld %ld %f\n", whole, failed, now() - begin);
	return 0;
}
