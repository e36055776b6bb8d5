// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The ends of real connections.
 *
 *   sockets accept PORT FILE             accepts and closes; FILE's first 8 bytes count them
 *   sockets echo PORT                    sends back what it reads, many connections at once
 *   sockets pingpong ADDR PORT SECONDS   one connection, 64 bytes to and fro: prints times a second
 *   sockets probe ADDR PORT RATE SECONDS GRACE
 *       opens RATE connections a second, whatever becomes of the others; each sends 16 bytes and
 *       waits for them. Prints the microseconds of each, and how many had no answer after GRACE s.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ULL
#define BACKLOG 65535 /* net.core.somaxconn cuts it */
#define EVENTS 64
#define PROBE_BYTES 16
#define PING_BYTES 64
#define FDS_MOST 65536

static void die(const char *what)
{
	fprintf(stderr, "sockets: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int listen_on(const char *port, int flags)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(port))};
	int fd = socket(AF_INET6, SOCK_STREAM | flags, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, BACKLOG))
		die("listen");
	return fd;
}

static struct sockaddr_in address_of(char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};

	if (inet_pton(AF_INET, argv[0], &to.sin_addr) != 1)
		die(argv[0]);
	return to;
}

static int do_accept(char **argv) /* until killed */
{
	int fd = listen_on(argv[0], 0), count_fd = open(argv[1], O_RDWR | O_CREAT, 0600),
	    connection;
	volatile uint64_t *count;

	if (count_fd < 0 || ftruncate(count_fd, sizeof(*count)))
		die(argv[1]);
	count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, count_fd, 0);
	if (count == MAP_FAILED)
		die("mmap");
	for (;;) {
		connection = accept(fd, NULL, NULL);
		if (connection < 0)
			continue;
		close(connection);
		++*count;
	}
	return 0;
}

static void watch(int epoll, int fd, uint32_t events, int op)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	if (epoll_ctl(epoll, op, fd, &event))
		die("epoll_ctl");
}

static int do_echo(char **argv) /* until killed */
{
	int listener = listen_on(argv[0], SOCK_NONBLOCK), epoll = epoll_create1(0), one = 1, fd;
	struct epoll_event ready[EVENTS];
	char buffer[4096];
	ssize_t got;

	watch(epoll, listener, EPOLLIN, EPOLL_CTL_ADD);
	for (;;) {
		int count = epoll_wait(epoll, ready, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			if (ready[i].data.fd == listener) {
				fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
				if (fd < 0)
					continue;
				(void)setsockopt(fd, SOL_TCP, TCP_NODELAY, &one, sizeof(one));
				watch(epoll, fd, EPOLLIN, EPOLL_CTL_ADD);
				continue;
			}
			got = read(ready[i].data.fd, buffer, sizeof(buffer));
			if (got <= 0 || write(ready[i].data.fd, buffer, got) != got)
				close(ready[i].data.fd);
		}
	}
	return 0;
}

static int do_pingpong(char **argv)
{
	struct sockaddr_in to = address_of(argv);
	uint64_t begin, end, rounds = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	char buffer[PING_BYTES] = {};

	(void)setsockopt(fd, SOL_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		die("connect");
	begin = now_ns();
	end = begin + atof(argv[2]) * NS_PER_S;
	for (; now_ns() < end; rounds++)
		if (write(fd, buffer, PING_BYTES) != PING_BYTES ||
		    recv(fd, buffer, PING_BYTES, MSG_WAITALL) != PING_BYTES)
			die("ping");
	printf("%.1f\n", rounds * (double)NS_PER_S / (now_ns() - begin));
	return 0;
}

static uint64_t began_ns[FDS_MOST];

/* Gone at once, on both sides: a probe leaves no TIME-WAIT. */
static void abort_connection(int fd)
{
	struct linger linger = {.l_onoff = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

static int probe_open(int epoll, const struct sockaddr_in *to)
{
	uint64_t now = now_ns();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0 || fd >= FDS_MOST)
		die("socket");
	(void)setsockopt(fd, SOL_TCP, TCP_NODELAY, &one, sizeof(one));
	began_ns[fd] = now;
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) && errno != EINPROGRESS) {
		close(fd);
		return 0;
	}
	watch(epoll, fd, EPOLLOUT, EPOLL_CTL_ADD);
	return 1;
}

/* Returns 1 when the connection is done with; a failed one prints -1. */
static int probe_step(int epoll, const struct epoll_event *event)
{
	char buffer[PROBE_BYTES] = {};
	int fd = event->data.fd;

	if (!(event->events & (EPOLLERR | EPOLLHUP))) {
		if (event->events & EPOLLOUT) {
			if (write(fd, buffer, sizeof(buffer)) == sizeof(buffer)) {
				watch(epoll, fd, EPOLLIN, EPOLL_CTL_MOD);
				return 0;
			}
		} else if (read(fd, buffer, sizeof(buffer)) == sizeof(buffer)) {
			printf("%llu ", (unsigned long long)(now_ns() - began_ns[fd]) / 1000);
			abort_connection(fd);
			return 1;
		}
	}
	printf("-1 ");
	abort_connection(fd);
	return 1;
}

static int do_probe(char **argv)
{
	struct sockaddr_in to = address_of(argv);
	uint64_t step = NS_PER_S / atoi(argv[2]), start = now_ns(), next = start;
	uint64_t stop = start + atof(argv[3]) * NS_PER_S, last = stop + atof(argv[4]) * NS_PER_S;
	int epoll = epoll_create1(0), open_now = 0;
	struct epoll_event ready[EVENTS];

	while (next < stop || (open_now && now_ns() < last)) {
		uint64_t now = now_ns(), until = next < stop ? next : last;
		struct timespec wait = {.tv_nsec = until > now ? until - now : 0};
		int count;

		if (wait.tv_nsec > 100000000)
			wait.tv_nsec = 100000000;
		count = epoll_pwait2(epoll, ready, EVENTS, &wait, NULL);
		for (int i = 0; i < count; i++)
			open_now -= probe_step(epoll, &ready[i]);
		while (next < stop && next <= now_ns()) {
			int opened = probe_open(epoll, &to);

			if (!opened)
				printf("-1 ");
			open_now += opened;
			next += step;
		}
	}
	for (; open_now; open_now--)
		printf("-1 ");
	putchar('\n');
	return 0;
}

static const struct {
	const char *name;
	int arguments;
	int (*run)(char **argv);
} actions[] = {{"accept", 2, do_accept},
	       {"echo", 1, do_echo},
	       {"pingpong", 3, do_pingpong},
	       {"probe", 5, do_probe},
	       {}};

int main(int argc, char **argv)
{
	for (int i = 0; actions[i].name; i++)
		if (argc > 1 && !strcmp(argv[1], actions[i].name) &&
		    argc == actions[i].arguments + 2)
			return actions[i].run(argv + 2);
	fputs("usage: sockets accept|echo|pingpong|probe ...: see its source\n", stderr);
	return 2;
}
