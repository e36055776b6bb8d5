// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "guard.h"

#define FOLDER "/run/synward"
#define PATIENCE_S 120 /* a reload may load programs for a dozen interfaces */
#define REQUEST_S 1    /* for a request to follow the connection, while all else waits */

static int make_path(char path[64], const char *ending)
{
	__u64 netns;
	int err = guard_netns(&netns);

	if (!err)
		snprintf(path, 64, FOLDER "/%llu.%s", netns, ending);
	return err;
}

static int make_address(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	return snprintf(ret->sun_path, sizeof(ret->sun_path), "%s", path);
}

/* A daemon that ends takes the file away while it has the lock: what was locked may be nobody's. */
static bool still_there(int fd, const char *path)
{
	struct stat ours, there;

	return !fstat(fd, &ours) && !stat(path, &there) && ours.st_ino == there.st_ino;
}

static int lock_file(const char *path)
{
	int fd, err;

	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return -errno;
		err = flock(fd, LOCK_EX | LOCK_NB) ? -errno : 0;
		if (!err && still_there(fd, path))
			return fd;
		close(fd);
		if (err)
			return err == -EWOULDBLOCK ? -EBUSY : err;
	}
}

/* Held for as long as the daemon lives, however it ends. */
static int take_lock(struct why *why)
{
	char path[64];
	int fd;

	if (mkdir(FOLDER, 0755) && errno != EEXIST)
		return why_is(why, -errno, "cannot make " FOLDER ": %s", strerror(errno));
	fd = make_path(path, "lock");
	if (fd < 0)
		return why_is(why, fd, "cannot tell the network namespace: %s", strerror(-fd));
	fd = lock_file(path);
	if (fd == -EBUSY)
		return why_is(why, fd, "'synward run' runs in this network namespace already");
	return fd < 0 ? why_is(why, fd, "cannot lock %s: %s", path, strerror(-fd)) : fd;
}

static int listen_at(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), err;
	struct sockaddr_un address;
	mode_t before;

	if (fd < 0)
		return -errno;
	make_address(path, &address);
	unlink(path); /* of a daemon that was killed: we have the lock */
	before = umask(0177);
	err = bind(fd, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
	umask(before);
	if (!err && listen(fd, 4))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static int take_request(int fd, char text[CONTROL_TEXT])
{
	struct timeval patience = {.tv_sec = REQUEST_S};
	ssize_t length;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	length = recv(fd, text, CONTROL_TEXT - 1, 0);
	if (length <= 0)
		return -EIO;
	text[length] = '\0';
	return 0;
}

/* The answer: the negative errno in decimals, a space, the line. */
static int serve(void *arg)
{
	struct control *control = arg;
	char text[CONTROL_TEXT];
	struct why why = {};
	int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC), err;

	if (fd < 0)
		return 0;
	if (!take_request(fd, text)) {
		err = control->serve(control->arg, text, &why);
		snprintf(text, sizeof(text), "%d %s", err, why.text);
		send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	close(fd);
	return 0;
}

int control_open(struct control *control, struct loop *loop, control_do serve_request, void *arg,
		 struct why *why)
{
	struct control c = {.loop = loop, .serve = serve_request, .arg = arg};
	int err;

	c.lock_fd = take_lock(why);
	if (c.lock_fd < 0)
		return c.lock_fd;
	err = make_path(c.path, "sock");
	if (!err)
		err = c.listen_fd = listen_at(c.path);
	if (err >= 0)
		err = loop_add(loop, c.listen_fd, serve, control);
	if (err < 0) {
		close(c.lock_fd);
		return why_is(why, err, "cannot listen on %s: %s", c.path, strerror(-err));
	}
	*control = c;
	return 0;
}

void control_close(struct control *control)
{
	char path[64];

	loop_remove(control->loop, control->listen_fd);
	close(control->listen_fd);
	unlink(control->path);
	if (!make_path(path, "lock"))
		unlink(path);
	close(control->lock_fd);
}

static int connect_to_daemon(void)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	struct sockaddr_un address;
	char path[64];
	int fd, err;

	err = make_path(path, "sock");
	if (err)
		return err;
	make_address(path, &address);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		err = -errno;
		close(fd);
		return err == -ENOENT ? -ECONNREFUSED : err;
	}
	return fd;
}

int control_ask(const char *request, struct why *why)
{
	char text[CONTROL_TEXT], *line;
	int fd = connect_to_daemon(), err;
	ssize_t length = -1;

	if (fd == -ECONNREFUSED)
		return why_is(why, fd, "no 'synward run' in this network namespace");
	if (fd < 0)
		return why_is(why, fd, "cannot reach 'synward run': %s", strerror(-fd));
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
		length = recv(fd, text, sizeof(text) - 1, 0);
	close(fd);
	if (length <= 0)
		return why_is(why, -EIO, "'synward run' did not answer; see its log");
	text[length] = '\0';
	err = (int)strtol(text, &line, 10);
	return why_is(why, err, "%s", *line ? line + 1 : line);
}
