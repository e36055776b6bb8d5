// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "top_data.h"
#include "xdp.h"

#define FADE 0.7 /* of a source's weight, each second */

static int take_first(const struct guard *g, void *arg)
{
	if (!g->ifname[0])
		return 0;
	*(struct guard *)arg = *g;
	return 1;
}

static int find_guard(struct top *t, const char *ifname, struct why *why)
{
	int found;

	if (ifname)
		return guard_by_name(ifname, &t->guard, why);
	found = guard_each(take_first, &t->guard);
	if (found == 1)
		return 0;
	return found ? why_is(why, found, "cannot look into " GUARD_ROOT ": %s; run as root",
			      strerror(-found))
		     : why_is(why, -ENOENT, "nothing is guarded; 'synward attach IFACE' does that");
}

static void ignore_sample(const struct sw_sample *sample, double frames, void *arg)
{
}

/* What was sampled for somebody before us is passed over. */
static void open_sources(struct top *t)
{
	int cpus = libbpf_num_possible_cpus();

	if (tracer_open_samples(&t->guard, &t->tracer, &t->why_sources))
		return;
	t->position = calloc(cpus, sizeof(*t->position));
	t->has_sources = t->position && !tracer_samples(&t->tracer, t->position, ignore_sample, t);
}

int top_open(struct top *t, const char *ifname, struct why *why)
{
	struct why ignored;
	int err;

	*t = (struct top){.counters_fd = -1};
	err = find_guard(t, ifname, why);
	if (err)
		return err;
	t->counters_fd = counters_open(&t->guard, why);
	if (t->counters_fd < 0)
		return t->counters_fd;
	open_sources(t);
	services_open(&t->guard, &t->maps, &ignored);
	return 0;
}

void top_close(struct top *t)
{
	if (t->has_sources)
		tracer_close(&t->tracer);
	host_maps_close(&t->maps);
	free(t->position);
	if (t->counters_fd >= 0)
		close(t->counters_fd);
}

/* To the prefix one network has: /24, /48. */
static struct top_source prefix_of(const struct sw_sample *s)
{
	if (!s->family_v6)
		return (struct top_source){.addr_lo = s->addr_lo & htonl(0xffffff00)};
	return (struct top_source){.addr_hi = s->addr_hi & htobe64(~0ULL << 16), .v6 = true};
}

/* The lightest makes room and leaves its weight: who is heavy stays (Metwally's space saving). */
static void add_sample(const struct sw_sample *sample, double frames, void *arg)
{
	struct top_source want = prefix_of(sample), *lightest, *s;
	struct top *t = arg;

	t->source_weight += frames;
	lightest = t->source;
	for (s = t->source; s < t->source + TOP_SOURCES; s++) {
		if (s->weight > 0 && s->addr_hi == want.addr_hi && s->addr_lo == want.addr_lo &&
		    s->v6 == want.v6) {
			s->weight += frames;
			return;
		}
		if (s->weight < lightest->weight)
			lightest = s;
	}
	want.weight = lightest->weight + frames;
	*lightest = want;
}

static int heavier(const void *a, const void *b)
{
	const struct top_source *x = a, *y = b;

	return (y->weight > x->weight) - (y->weight < x->weight);
}

static void read_sources(struct top *t)
{
	int i;

	for (i = 0; i < TOP_SOURCES; i++) {
		t->source[i].weight *= FADE;
		if (t->source[i].weight < 0.5)
			t->source[i].weight = 0;
	}
	t->source_weight *= FADE;
	tracer_renew(&t->tracer);
	tracer_samples(&t->tracer, t->position, add_sample, t);
	qsort(t->source, TOP_SOURCES, sizeof(*t->source), heavier);
}

static void push(double history[TOP_HISTORY], double value)
{
	memmove(history + 1, history, (TOP_HISTORY - 1) * sizeof(*history));
	history[0] = value;
}

static void remember(struct top *t)
{
	int column;

	for (column = 0; column < NAMES_COLUMNS; column++)
		push(t->history[column], (double)(counters_sum(&t->now, column) -
						  counters_sum(&t->before, column)) /
						 t->length_s);
	if (t->history_count < TOP_HISTORY)
		t->history_count++;
}

/* A service that was there before keeps its past; wherever it stands now. */
static void take_past(struct top_service *s, const struct top_service *before, int count)
{
	for (; count--; before++) {
		if (before->view.slot != s->view.slot ||
		    strcmp(before->view.service.name, s->view.service.name))
			continue;
		memcpy(s->syns, before->syns, sizeof(s->syns));
		return;
	}
}

static void read_services(struct top *t)
{
	static struct top_service before[SW_SERVICES]; /* larger than a stack likes */
	struct service_view view[SW_SERVICES];
	int count = services_read(&t->maps, view), known = t->services, i;
	struct sw_counters counters;
	struct top_service *s;
	__u64 syns;

	memcpy(before, t->service, sizeof(before));
	t->services = 0;
	for (i = 0; i < count; i++) {
		if (counters_read_entry(t->counters_fd, SW_COUNTERS_SERVICE + view[i].slot, &counters))
			continue;
		s = &t->service[t->services++];
		*s = (struct top_service){.view = view[i]};
		take_past(s, before, known);
		syns = counters_sum(&counters, COLUMN_SYNS);
		if (t->length_s > 0 && syns >= t->syns[view[i].slot]) /* less: the slot was cleared */
			push(s->syns, (double)(syns - t->syns[view[i].slot]) / t->length_s);
		t->syns[view[i].slot] = syns;
	}
}

int top_read(struct top *t, struct why *why)
{
	struct xdp_state xdp = {};
	__u64 now_ns = tracer_clock_ns(CLOCK_MONOTONIC);
	struct why ignored;
	int err;

	err = guard_lasts(&t->guard, why);
	if (err)
		return err;
	t->before = t->now;
	err = counters_read(t->counters_fd, &t->now);
	if (!err)
		err = guard_info(&t->guard, &t->info);
	if (err)
		return why_is(why, err, "cannot read its counters: %s", strerror(-err));
	if (t->read_ns && now_ns > t->read_ns) {
		t->length_s = (double)(now_ns - t->read_ns) / 1e9;
		remember(t);
	}
	t->read_ns = now_ns;
	read_services(t);
	t->has_keys = t->info.path != SW_PATH_COMPAT && !xdp_look(&t->guard, &xdp, &ignored) &&
		      !keys_look_running(&xdp, &t->keys);
	if (t->has_sources)
		read_sources(t);
	return 0;
}

double top_verdict_rate(const struct top *t, int reason)
{
	if (!(t->length_s > 0))
		return 0;
	return (double)(t->now.verdict[reason] - t->before.verdict[reason]) / t->length_s;
}

double top_unproven_rate(const struct top *t)
{
	double rate = 0;
	int i;

	for (i = 0; i < SW_REASON_COUNT; i++) {
		if (sw_trace_is_unproven(i))
			rate += top_verdict_rate(t, i);
	}
	return rate;
}
