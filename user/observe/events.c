// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "events.h"
#include "pins.h"
#include "services.h"

#define FIGURES 3

static const struct kind {
	const char *name, *text;
	const char *figure[FIGURES];
} kinds[] = {
#define SW_NOTICE(name, text, first, second, third) {#name, text, {first, second, third}},
#include "notice.def"
#undef SW_NOTICE
};

struct events {
	struct ring_buffer *ring;
	events_seen seen;
	void *arg;
	int lock_fd;
};

/* A newer kernel side may say more, an older one less. */
static int take(void *arg, void *data, size_t size)
{
	struct events *events = arg;
	struct sw_notice notice = {};

	memcpy(&notice, data, size < sizeof(notice) ? size : sizeof(notice));
	notice.service[sizeof(notice.service) - 1] = '\0';
	if (notice.kind < SW_NOTICE_KINDS)
		events->seen(&notice, events->arg);
	return 0;
}

/* Held as long as the events are read: the ring hands each of them out once. */
static int lock(const struct guard *g, struct why *why)
{
	char path[GUARD_PATH];
	int fd, err;

	guard_path(g, NULL, path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return why_is(why, -errno, "cannot open %s: %s", path, strerror(errno));
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return fd;
	err = -errno;
	close(fd);
	if (err != -EWOULDBLOCK)
		return why_is(why, err, "cannot lock %s: %s", path, strerror(-err));
	return why_is(why, -EBUSY,
		      "its events are read by another process; if that is 'synward run', they are "
		      "in its log");
}

static int open_ring(struct events *e, const struct guard *g, int ring_fd, struct why *why)
{
	int fd = ring_fd < 0 ? pins_open(g, "events") : ring_fd, err;

	if (fd < 0)
		return why_is(why, fd, "cannot open its events: %s", strerror(-fd));
	e->ring = ring_buffer__new(fd, take, e, NULL);
	err = e->ring ? 0 : -errno;
	if (ring_fd < 0)
		close(fd);
	return err ? why_is(why, err, "cannot read its events: %s", strerror(-err)) : 0;
}

int events_open(const struct guard *g, int ring_fd, events_seen seen, void *arg,
		struct events **ret, struct why *why)
{
	struct events *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return why_is(why, -ENOMEM, "out of memory");
	e->seen = seen;
	e->arg = arg;
	e->lock_fd = lock(g, why);
	err = e->lock_fd < 0 ? e->lock_fd : open_ring(e, g, ring_fd, why);
	if (err) {
		events_close(e);
		return err;
	}
	*ret = e;
	return 0;
}

void events_close(struct events *events)
{
	if (!events)
		return;
	ring_buffer__free(events->ring);
	if (events->lock_fd >= 0)
		close(events->lock_fd);
	free(events);
}

int events_fd(const struct events *events)
{
	return ring_buffer__epoll_fd(events->ring);
}

int events_read(struct events *events)
{
	return ring_buffer__consume(events->ring);
}

static __u64 clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

void events_text(const struct sw_notice *notice, char *ret, size_t size)
{
	const struct kind *kind = &kinds[notice->kind];
	const char *comma = " (";
	FILE *f = fmemopen(ret, size, "w");
	int i;

	if (!f)
		return;
	fprintf(f, "%s%s%s", notice->service, notice->service[0] ? ": " : "", kind->text);
	if (notice->detail) {
		fprintf(f, " (by %s", services_armed_by_name(notice->detail));
		comma = ", ";
	}
	for (i = 0; i < FIGURES; i++) {
		if (!kind->figure[i][0])
			continue;
		fprintf(f, "%s%s %llu", comma, kind->figure[i], notice->figure[i]);
		comma = ", ";
	}
	if (notice->unsent) {
		fprintf(f, "%s%u more of these untold", comma, notice->unsent);
		comma = ", ";
	}
	fprintf(f, "%s", comma[0] == ',' ? ")" : "");
	fclose(f);
}

static struct json_object *lower(const char *name)
{
	char text[32];
	size_t i;

	for (i = 0; name[i] && i < sizeof(text) - 1; i++)
		text[i] = (char)tolower((unsigned char)name[i]);
	text[i] = '\0';
	return json_object_new_string(text);
}

struct json_object *events_json(const struct sw_notice *notice, const char *ifname)
{
	const struct kind *kind = &kinds[notice->kind];
	__u64 ago_ns = clock_ns(CLOCK_MONOTONIC) - notice->time_ns;
	struct json_object *obj = json_object_new_object();
	char time[32];
	int i;

	snprintf(time, sizeof(time), "%.3f", (double)(clock_ns(CLOCK_REALTIME) - ago_ns) / 1e9);
	json_object_object_add(obj, "time", json_object_new_double_s(strtod(time, NULL), time));
	json_object_object_add(obj, "interface", json_object_new_string(ifname));
	json_object_object_add(obj, "event", lower(kind->name));
	if (notice->service[0])
		json_object_object_add(obj, "service", json_object_new_string(notice->service));
	if (notice->detail)
		json_object_object_add(
			obj, "reason",
			json_object_new_string(services_armed_by_name(notice->detail)));
	for (i = 0; i < FIGURES; i++) {
		if (kind->figure[i][0])
			json_object_object_add(obj, kind->figure[i],
					       json_object_new_uint64(notice->figure[i]));
	}
	json_object_object_add(obj, "unsent", json_object_new_int64(notice->unsent));
	return obj;
}
