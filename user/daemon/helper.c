// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper.h"
#include "pins.h"

enum task { CHECK_MACHINE, GUARD, REMOVE, LOOK };

/* One message each way; both ends are the same program. */
struct request {
	enum task task;
	struct guard guard;
	struct setup setup; /* its pointers mean nothing here */
};

struct answer {
	int err;
	struct why why;
	struct setup_result result;
	struct hooks_state hooks;
	struct host_maps maps; /* their descriptors come beside the message */
};

/* Both ways a message with descriptors, in the order of maps. */
union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int) * HOST_MAPS_MAX)];
};

struct helping {
	const struct log *log;
	const char *ifname;
};

static void warn(void *arg, const char *text)
{
	const struct helping *h = arg;

	log_say(h->log, LOG_WARNING, h->ifname[0] ? h->ifname : NULL, "%s", text);
}

static int remove_guard(const struct guard *g, struct why *why)
{
	int lock = pins_lock(why), err;

	if (lock < 0)
		return lock;
	err = install_remove(g, why);
	install_sweep();
	close(lock);
	return err;
}

static void serve(const struct log *log, const struct request *request, struct answer *answer)
{
	struct helping h = {log, request->guard.ifname};
	struct setup setup = request->setup;

	setup.warn = warn;
	setup.arg = &h;
	switch (request->task) {
	case CHECK_MACHINE:
		answer->err = setup_check_machine(&setup, &answer->why);
		break;
	case GUARD:
		/* Lists and who runs already: the daemon sees to them with the maps it gets. */
		setup.services_stay = true;
		answer->err = setup_guard(&setup, &request->guard, &answer->result, &answer->maps,
					  &answer->why);
		break;
	case REMOVE:
		answer->err = remove_guard(&request->guard, &answer->why);
		break;
	case LOOK:
		hooks_look(NULL, &request->guard, &answer->hooks);
		break;
	}
}

static int send_answer(int fd, const struct answer *answer)
{
	union control control = {};
	struct iovec piece = {(void *)answer, sizeof(*answer)};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	int i, *fds = (int *)CMSG_DATA(&control.head);

	if (answer->maps.count) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * answer->maps.count);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int) * answer->maps.count);
		for (i = 0; i < answer->maps.count; i++)
			fds[i] = answer->maps.map[i].fd;
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/*
 * In a process of its own: what libraries keep (libxdp 1.3 a descriptor for each look at a
 * hook) goes with it, and if one crashes the next request is none the worse.
 */
static int serve_apart(int fd, const struct log *log, const struct request *request)
{
	struct answer answer = {.err = -EIO};
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		answer.err = 0;
		serve(log, request, &answer);
		_exit(send_answer(fd, &answer) ? EXIT_FAILURE : EXIT_SUCCESS);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!status)
		return 0;
	why_is(&answer.why, -EIO, "the process that should do it %s",
	       pid < 0 ? "could not start" : "died");
	return send_answer(fd, &answer);
}

/* Ends with the daemon, whatever becomes of that: a guard half put on is finished first. */
static void help(int fd, const struct log *log)
{
	struct request request;
	ssize_t got;
	int err = 0;

	while (!err && (got = recv(fd, &request, sizeof(request), 0))) {
		if (got == sizeof(request)) /* or interrupted */
			err = serve_apart(fd, log, &request);
	}
}

/* A terminal's Ctrl-C and systemd's stop are the daemon's to answer. */
static void leave_signals(void)
{
	sigset_t none;

	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int helper_start(struct helper *ret, const struct log *log)
{
	int ends[2], err;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	pid = fork();
	if (pid < 0) {
		err = -errno;
		close(ends[0]);
		close(ends[1]);
		return err;
	}
	if (!pid) {
		close(ends[0]);
		leave_signals();
		help(ends[1], log);
		_exit(0);
	}
	close(ends[1]);
	*ret = (struct helper){.fd = ends[0], .pid = pid};
	return 0;
}

void helper_stop(struct helper *helper)
{
	close(helper->fd);
	while (waitpid(helper->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int receive_answer(int fd, struct answer *answer)
{
	union control control = {};
	struct iovec piece = {answer, sizeof(*answer)};
	struct msghdr message = {.msg_iov = &piece,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	int i, *fds = (int *)CMSG_DATA(&control.head);
	ssize_t got;

	do {
		got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	if (got != sizeof(*answer))
		return -EPIPE;
	for (i = 0; i < answer->maps.count; i++)
		answer->maps.map[i].fd = fds[i];
	return 0;
}

static int ask(const struct helper *helper, const struct request *request, struct answer *answer,
	       struct why *why)
{
	int err = 0;

	if (send(helper->fd, request, sizeof(*request), MSG_NOSIGNAL) < 0)
		err = -errno;
	if (!err)
		err = receive_answer(helper->fd, answer);
	if (err)
		return why_is(why, err, "the daemon's helper process is gone: %s", strerror(-err));
	*why = answer->why;
	return answer->err;
}

int helper_check_machine(const struct helper *helper, struct why *why)
{
	struct request request = {.task = CHECK_MACHINE};
	struct answer answer;

	return ask(helper, &request, &answer, why);
}

int helper_guard(const struct helper *helper, const struct setup *s, const struct guard *g,
		 struct setup_result *ret, struct host_maps *keep, struct why *why)
{
	struct request request = {.task = GUARD, .guard = *g, .setup = *s};
	struct answer answer;
	int err = ask(helper, &request, &answer, why);

	if (err)
		return err;
	*ret = answer.result;
	*keep = answer.maps;
	return 0;
}

int helper_remove(const struct helper *helper, const struct guard *g, struct why *why)
{
	struct request request = {.task = REMOVE, .guard = *g};
	struct answer answer;

	return ask(helper, &request, &answer, why);
}

void helper_look(void *helper, const struct guard *g, struct hooks_state *ret)
{
	struct request request = {.task = LOOK, .guard = *g};
	struct answer answer;
	struct why why;

	*ret = (struct hooks_state){.on = -1};
	if (!ask(helper, &request, &answer, &why))
		*ret = answer.hooks;
}
