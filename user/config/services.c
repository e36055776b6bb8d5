// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>

#include "services.h"

#define PORT_LAST 65535

void services_default(struct services *ret, enum sw_mode mode)
{
	int i;

	memset(ret, 0, sizeof(*ret));
	for (i = 0; i < SW_SERVICES; i++)
		ret->list_fd[i] = -1;
	ret->count = 1;
	ret->service[0] = (struct sw_service){
		.mode = mode,
		.port_first = 1,
		.port_last = PORT_LAST,
		.syn_start = 2000,
		.syn_end = 1000,
		.half_open_start = 256,
		.half_open_end = 64,
		.hold_ms = 10000,
		.name = "all",
	};
}

static int check_thresholds(const struct sw_service *s, struct why *why)
{
	if (s->mode != SW_MODE_AUTO)
		return 0;
	if (!s->syn_start && !s->half_open_start)
		return why_is(why, -EINVAL,
			      "service %s: mode auto without a threshold would never arm", s->name);
	if (s->syn_start && (!s->syn_end || s->syn_end > s->syn_start))
		return why_is(why, -EINVAL,
			      "service %s: it ends at %u SYNs a second; 1 to %u, where it starts, "
			      "makes sense",
			      s->name, s->syn_end, s->syn_start);
	if (s->half_open_start && (!s->half_open_end || s->half_open_end > s->half_open_start))
		return why_is(why, -EINVAL,
			      "service %s: it ends at %u half-open sockets; 1 to %u, where it "
			      "starts, makes sense",
			      s->name, s->half_open_end, s->half_open_start);
	return 0;
}

static int check_one(const struct services *all, int at, struct why *why)
{
	const struct sw_service *s = &all->service[at];
	int i;

	if (!s->name[0] || !memchr(s->name, '\0', sizeof(s->name)))
		return why_is(why, -EINVAL, "a service has no name, or one too long");
	for (i = 0; i < at; i++) {
		if (!strcmp(all->service[i].name, s->name))
			return why_is(why, -EINVAL, "two services are named %s", s->name);
	}
	if (s->mode > SW_MODE_AUTO || s->path > SW_SERVICE_PROXY || s->prefix_length > 128 || s->port_first > s->port_last)
		return why_is(why, -EINVAL, "service %s: no mode, address or ports like these",
			      s->name);
	return check_thresholds(s, why);
}

int services_check(const struct services *s, struct why *why)
{
	int i, err = 0;

	if (s->count < 1 || s->count > SW_SERVICES)
		return why_is(why, -EINVAL, "%d services; 1 to %d are possible", s->count,
			      SW_SERVICES);
	for (i = 0; !err && i < s->count; i++)
		err = check_one(s, i, why);
	return err;
}

unsigned int services_paths(const struct sw_service *s, int count)
{
	unsigned int paths = 0;

	while (count > 0)
		paths |= 1U << s[--count].path;
	return paths;
}

const char *services_mode_name(enum sw_mode mode)
{
	static const char *const names[] = {"off", "monitor", "always", "auto"};

	return mode <= SW_MODE_AUTO ? names[mode] : "unknown";
}

const char *services_path_name(enum sw_service_path path)
{
	static const char *const names[] = {"auto", "host", "proxy"};

	return path <= SW_SERVICE_PROXY ? names[path] : "unknown";
}

const char *services_armed_by_name(enum sw_armed_by reason)
{
	static const char *const names[] = {"none", "syn_rate", "half_open"};

	return reason <= SW_ARMED_BY_HALF_OPEN ? names[reason] : "unknown";
}
