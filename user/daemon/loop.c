// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "loop.h"

int loop_open(struct loop *loop)
{
	int i;

	for (i = 0; i < LOOP_SOURCES; i++)
		loop->source[i] = (struct loop_source){.fd = -1};
	loop->stopping = false;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll_fd < 0 ? -errno : 0;
}

static struct loop_source *find(struct loop *loop, int fd)
{
	int i;

	for (i = 0; i < LOOP_SOURCES; i++) {
		if (loop->source[i].fd == fd)
			return &loop->source[i];
	}
	return NULL;
}

void loop_close(struct loop *loop)
{
	int i;

	for (i = 0; i < LOOP_SOURCES; i++) {
		if (loop->source[i].ours)
			close(loop->source[i].fd);
	}
	close(loop->epoll_fd);
}

int loop_add(struct loop *loop, int fd, loop_ready ready, void *arg)
{
	struct loop_source *source = find(loop, -1);
	struct epoll_event event = {.events = EPOLLIN};

	if (!source)
		return -ENOSPC;
	event.data.u32 = source - loop->source;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event))
		return -errno;
	*source = (struct loop_source){.fd = fd, .ready = ready, .arg = arg};
	return 0;
}

void loop_remove(struct loop *loop, int fd)
{
	struct loop_source *source = fd < 0 ? NULL : find(loop, fd);

	if (!source)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	if (source->ours)
		close(fd);
	*source = (struct loop_source){.fd = -1};
}

int loop_every(struct loop *loop, unsigned int every_ms, loop_ready ready, void *arg)
{
	struct timespec every = {.tv_sec = every_ms / 1000, .tv_nsec = every_ms % 1000 * 1000000L};
	struct itimerspec timer = {.it_interval = every, .it_value = every};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), err;

	if (fd < 0)
		return -errno;
	err = timerfd_settime(fd, 0, &timer, NULL) ? -errno : loop_add(loop, fd, ready, arg);
	if (err) {
		close(fd);
		return err;
	}
	find(loop, fd)->ours = true;
	return fd;
}

/* How often a timer went off does not matter: missed rounds are not made up for. */
static void quiet_timer(const struct loop_source *source)
{
	uint64_t times;

	if (source->ours && read(source->fd, &times, sizeof(times)) < 0)
		return;
}

/* One event a wait: a callback may remove any source, so none may be in hand meanwhile. */
int loop_run(struct loop *loop)
{
	struct loop_source *source;
	struct epoll_event event;
	int got, err = 0;

	while (!err && !loop->stopping) {
		got = epoll_wait(loop->epoll_fd, &event, 1, -1);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got < 1)
			continue;
		source = &loop->source[event.data.u32];
		quiet_timer(source);
		err = source->ready(source->arg);
	}
	return err;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}
