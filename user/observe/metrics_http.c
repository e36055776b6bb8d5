// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include "metrics.h"
#include "metrics_http.h"

/* Prometheus makes one connection; others get little of anything. */
#define CONNECTIONS_MOST 16
#define CONNECTIONS_OF_ADDRESS 8
#define IDLE_S 5
#define CONNECTION_BYTES 16384
#define TIMER_MS 1000
#define TURNS_MOST 64 /* other sources of the loop wait meanwhile */

struct metrics_http {
	struct MHD_Daemon *daemon;
	struct loop *loop;
	const struct hooks_look *look;
	int epoll_fd, timer_fd;
};

static enum MHD_Result answer(struct MHD_Connection *c, unsigned int status, const char *type,
			      char *text, size_t size, enum MHD_ResponseMemoryMode memory)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(size, text, memory);
	enum MHD_Result result;

	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, "Content-Type", type);
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, "Allow", "GET, HEAD");
	result = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result say(struct MHD_Connection *c, unsigned int status, const char *text)
{
	return answer(c, status, "text/plain; charset=utf-8", (char *)text, strlen(text),
		      MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result answer_metrics(const struct metrics_http *h, struct MHD_Connection *c)
{
	struct why why = {};
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int err = f ? metrics_write(f, h->look, &why) : -ENOMEM;

	if (f && fclose(f))
		err = -ENOMEM;
	if (!err)
		return answer(c, MHD_HTTP_OK, METRICS_CONTENT_TYPE, text, size, MHD_RESPMEM_MUST_FREE);
	free(text);
	return say(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "the guards cannot be read\n");
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **state)
{
	if (strcmp(method, "GET") && strcmp(method, "HEAD")) {
		*upload_size = 0;
		return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only\n");
	}
	if (!strcmp(url, "/metrics"))
		return answer_metrics(arg, c);
	if (!strcmp(url, "/healthz"))
		return say(c, MHD_HTTP_OK, "ok\n");
	return say(c, MHD_HTTP_NOT_FOUND, "/metrics or /healthz\n");
}

static int run(void *arg)
{
	struct metrics_http *h = arg;
	MHD_UNSIGNED_LONG_LONG wait_ms;
	int turns = TURNS_MOST;

	/* What it has read already raises no event: it is asked whether more is to be done at once. */
	do
		MHD_run(h->daemon);
	while (--turns && MHD_get_timeout(h->daemon, &wait_ms) == MHD_YES && !wait_ms);
	return 0;
}

static struct MHD_Daemon *start(struct metrics_http *h, const struct sockaddr *where)
{
	unsigned int flags = MHD_USE_EPOLL;

	if (where->sa_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, h, MHD_OPTION_SOCK_ADDR, where,
				MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MOST,
				MHD_OPTION_PER_IP_CONNECTION_LIMIT, CONNECTIONS_OF_ADDRESS,
				MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
				MHD_OPTION_END);
}

static int follow(struct metrics_http *h)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);

	h->epoll_fd = info->epoll_fd;
	/* Connections that do nothing are ended by time. */
	h->timer_fd = loop_every(h->loop, TIMER_MS, run, h);
	return h->timer_fd < 0 ? h->timer_fd : loop_add(h->loop, h->epoll_fd, run, h);
}

int metrics_http_open(struct loop *loop, const struct sockaddr *where,
		      const struct hooks_look *look, struct metrics_http **ret, struct why *why)
{
	struct metrics_http *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return why_is(why, -ENOMEM, "out of memory");
	*h = (struct metrics_http){.loop = loop, .look = look, .epoll_fd = -1, .timer_fd = -1};
	errno = 0;
	h->daemon = start(h, where);
	err = h->daemon ? follow(h) : -(errno ?: EADDRINUSE);
	if (err) {
		metrics_http_close(h);
		return why_is(why, err, "cannot answer Prometheus there: %s", strerror(-err));
	}
	*ret = h;
	return 0;
}

void metrics_http_close(struct metrics_http *h)
{
	if (!h)
		return;
	loop_remove(h->loop, h->timer_fd);
	loop_remove(h->loop, h->epoll_fd);
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	free(h);
}
