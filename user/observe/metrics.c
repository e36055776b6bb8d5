// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "metrics_parts.h"
#include "path.h"
#include "pins.h"
#include "xdp.h"

#define LISTENERS_AT_ONCE 1024

static int read_entry(const struct guard *g, const char *pin, void *ret)
{
	int fd = pins_open_readonly(g, pin), err;
	__u32 zero = 0;

	if (fd < 0)
		return fd;
	err = bpf_map_lookup_elem(fd, &zero, ret) ? -errno : 0;
	close(fd);
	return err;
}

static void read_counters(struct reading *r)
{
	struct why ignored;
	int fd = counters_open(&r->guard, &ignored);

	if (fd < 0)
		return;
	r->has_counters = !counters_read(fd, &r->counters);
	close(fd);
}

/* The map's value has a bpf_timer in front: sw_walk is its end. */
static void read_walk(struct reading *r)
{
	__u8 value[16 + sizeof(r->walk)]; /* struct bpf_timer: uapi/linux/bpf.h */

	if (read_entry(&r->guard, "walk", value))
		return;
	memcpy(&r->walk, value + 16, sizeof(r->walk));
	r->has_walk = true;
}

static int by_address(const void *a, const void *b)
{
	const struct sw_listener *x = a, *y = b;

	if (x->addr_hi != y->addr_hi)
		return x->addr_hi < y->addr_hi ? -1 : 1;
	if (x->addr_lo != y->addr_lo)
		return x->addr_lo < y->addr_lo ? -1 : 1;
	return (int)x->port - (int)y->port;
}

/* Each CPU has a cache of its own: one listener may be in several. */
static void count_listeners(struct reading *r, struct sw_listener *l, size_t count)
{
	size_t i;

	qsort(l, count, sizeof(*l), by_address);
	for (i = 0; i < count; i++) {
		if (i && !by_address(&l[i - 1], &l[i]))
			continue;
		r->open += l[i].state == SW_LISTENER_OPEN;
		r->full += l[i].state == SW_LISTENER_FULL;
	}
	r->has_listeners = true;
}

static void read_listeners(struct reading *r)
{
	size_t most = (size_t)SW_LISTENER_SLOTS * (size_t)libbpf_num_possible_cpus(), got = 0;
	struct sw_listener *l = calloc(most, sizeof(*l));
	int fd = pins_open_readonly(&r->guard, "listeners"), err = 0;
	__u32 *key = calloc(most, sizeof(*key)), position = 0, count;

	while (l && key && fd >= 0 && !err && got < most) {
		count = LISTENERS_AT_ONCE;
		err = bpf_map_lookup_batch(fd, got ? &position : NULL, &position, key, l + got,
					   &count, NULL);
		if (!err || err == -ENOENT)
			got += count;
	}
	if (got)
		count_listeners(r, l, got);
	if (fd >= 0)
		close(fd);
	free(key);
	free(l);
}

/* Only the proxy path has them. */
static void read_flows(struct reading *r)
{
	struct why ignored;
	int fd = flow_table_open(&r->guard, &ignored);

	if (fd < 0)
		return;
	r->has_flows = !flow_table_census(fd, &r->flows);
	close(fd);
}

static int add_reading(const struct guard *g, void *arg)
{
	struct readings *all = arg;
	struct reading *grown, *r;

	if (!g->ifname[0])
		return 0;
	grown = realloc(all->each, (all->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	all->each = grown;
	r = &grown[all->count];
	memset(r, 0, sizeof(*r));
	r->guard = *g;
	if (guard_info(g, &r->info) || r->info.abi != SW_ABI)
		return 0; /* half made, or another version's: its maps say nothing to us */
	read_counters(r);
	read_walk(r);
	read_listeners(r);
	read_flows(r);
	metrics_read_services(r);
	all->look->look(all->look->arg, g, &r->hooks);
	all->count++;
	return 0;
}

static void put_build(FILE *f, const struct metric *m, const struct readings *all)
{
	fprintf(f, "%s{version=\"%s\"} 1\n", m->name, SW_VERSION);
}

static void put_guard(FILE *f, const struct metric *m, const struct readings *all)
{
	EACH(r, all)
	fprintf(f, "%s{interface=\"%s\",path=\"%s\",xdp=\"%s\",attach=\"%s\",version=\"%s\"} 1\n",
		m->name, r->guard.ifname, path_name(r->info.path), xdp_mode_name(r->info.xdp_mode),
		xdp_kind_name(r->info.attach_kind), r->info.version);
}

static void put_one(FILE *f, const struct metric *m, const struct reading *r, double value)
{
	fprintf(f, "%s{interface=\"%s\"} %.15g\n", m->name, r->guard.ifname, value);
}

static void put_on(FILE *f, const struct metric *m, const struct readings *all)
{
	EACH(r, all)
	{
		if (r->hooks.on >= 0)
			put_one(f, m, r, r->hooks.on);
	}
}

static void put_attached(FILE *f, const struct metric *m, const struct readings *all)
{
	EACH(r, all)
	put_one(f, m, r, (double)(r->info.attached_at_ns / 1000000) / 1e3);
}

static void put_verdicts(FILE *f, const struct metric *m, const struct readings *all)
{
	int i;

	EACH(r, all)
	{
		for (i = 0; r->has_counters && i < SW_REASON_COUNT; i++)
			fprintf(f, "%s{interface=\"%s\",reason=\"%s\",action=\"%s\"} %llu\n", m->name,
				r->guard.ifname, names_verdict[i].name,
				names_action(names_verdict[i].action), r->counters.verdict[i]);
	}
}

static void put_events(FILE *f, const struct metric *m, const struct readings *all)
{
	int i;

	EACH(r, all)
	{
		for (i = 0; r->has_counters && i < SW_EVENT_COUNT; i++)
			fprintf(f, "%s{interface=\"%s\",event=\"%s\"} %llu\n", m->name,
				r->guard.ifname, names_event[i].name, r->counters.event[i]);
	}
}

static void put_listeners(FILE *f, const struct metric *m, const struct readings *all)
{
	EACH(r, all)
	{
		if (r->has_listeners)
			fprintf(f,
				"%s{interface=\"%s\",state=\"open\"} %u\n"
				"%s{interface=\"%s\",state=\"full\"} %u\n",
				m->name, r->guard.ifname, r->open, m->name, r->guard.ifname, r->full);
	}
}

static void put_flows(FILE *f, const struct metric *m, const struct readings *all)
{
	int i;

	EACH(r, all)
	{
		for (i = 0; r->has_flows && i < SW_FLOW_STATES; i++)
			fprintf(f, "%s{interface=\"%s\",state=\"%s\"} %llu\n", m->name,
				r->guard.ifname, flow_state_names[i], r->flows.state[i]);
		if (r->has_flows)
			fprintf(f, "%s{interface=\"%s\",state=\"expired\"} %llu\n", m->name,
				r->guard.ifname, r->flows.expired);
	}
}

static void put_flows_limit(FILE *f, const struct metric *m, const struct readings *all)
{
	EACH(r, all)
	{
		if (r->has_flows)
			put_one(f, m, r, r->flows.limit);
	}
}

static void put_filter_bytes(FILE *f, const struct metric *m, const struct readings *all)
{
	EACH(r, all)
	{
		if (r->has_walk)
			put_one(f, m, r, 8.0 * (r->walk.mask[r->walk.current & 1] + 1.0));
	}
}

static void put_filter_sockets(FILE *f, const struct metric *m, const struct readings *all)
{
	EACH(r, all)
	{
		if (r->has_walk)
			put_one(f, m, r, r->walk.sockets);
	}
}

static void put_key_age(FILE *f, const struct metric *m, const struct readings *all)
{
	EACH(r, all)
	{
		if (r->hooks.has_keys)
			put_one(f, m, r, (double)r->hooks.keys.age_s);
	}
}

static void put_key_stale(FILE *f, const struct metric *m, const struct readings *all)
{
	EACH(r, all)
	{
		if (r->hooks.has_keys)
			put_one(f, m, r, r->hooks.keys.stale);
	}
}

static void release(struct readings *all)
{
	int i;

	for (i = 0; i < all->count; i++)
		free(all->each[i].service);
	free(all->each);
}

int metrics_write(FILE *f, const struct hooks_look *look, struct why *why)
{
	static const struct hooks_look here = {hooks_look, NULL};
	static void (*const put[])(FILE *, const struct metric *, const struct readings *) = {
#define METRIC(id, name, type, labels, text) put_##id,
#include "metrics.def"
#undef METRIC
	};
	struct readings all = {.look = look ?: &here};
	const struct metric *m;
	int err;

	err = guard_each(add_reading, &all);
	if (err) {
		release(&all);
		return why_is(why, err, "cannot look into " GUARD_ROOT ": %s; run as root",
			      strerror(-err));
	}
	for (m = metrics_list; m->name; m++) {
		fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->text, m->name, m->type);
		put[m - metrics_list](f, m, &all);
	}
	release(&all);
	return ferror(f) ? why_is(why, -EIO, "cannot write") : 0;
}
