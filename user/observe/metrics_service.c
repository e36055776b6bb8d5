// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Metrics of services. Of those that say nothing in a service's mode there are no samples. */
#include <stdlib.h>

#include "metrics_parts.h"
#include "rate.h"
#include "tracer.h"

static int read_one(const struct host_maps *maps, struct service_reading *s)
{
	int fd = host_maps_fd(maps, "counters");
	__u32 slot = s->view.slot;
	int err;

	err = counters_read_entry(fd, SW_COUNTERS_SERVICE + slot, &s->counters);
	if (!err)
		err = counters_read_entry(fd, SW_COUNTERS_WOULD + slot, &s->would);
	return err ?: services_rtt(maps, slot, &s->rtt);
}

void metrics_read_services(struct reading *r)
{
	struct service_view view[SW_SERVICES];
	struct service_reading *each = NULL;
	struct host_maps maps;
	struct why ignored;
	int count, i, err = 0;

	if (services_open(&r->guard, &maps, &ignored))
		return;
	count = services_read(&maps, view);
	if (count > 0)
		each = calloc(count, sizeof(*each));
	for (i = 0; each && !err && i < count; i++) {
		each[i].view = view[i];
		err = read_one(&maps, &each[i]);
	}
	host_maps_close(&maps);
	if (each && !err) {
		r->service = each;
		r->service_count = count;
	} else {
		free(each);
	}
}

#define EACH_SERVICE(s, r, all) \
	EACH(r, all) \
	for (const struct service_reading *s = (r)->service; s < (r)->service + (r)->service_count; s++)

/* Names of services are checked where they are read: nothing in them needs an escape. */
static void put_one(FILE *f, const struct metric *m, const struct reading *r,
		    const struct service_reading *s, unsigned long long value)
{
	fprintf(f, "%s{interface=\"%s\",service=\"%s\"} %llu\n", m->name, r->guard.ifname,
		s->view.service.name, value);
}

void put_service(FILE *f, const struct metric *m, const struct readings *all)
{
	EACH_SERVICE(s, r, all)
	fprintf(f, "%s{interface=\"%s\",service=\"%s\",mode=\"%s\"} 1\n", m->name, r->guard.ifname,
		s->view.service.name, services_mode_name(s->view.service.mode));
}

static bool is_auto(const struct service_reading *s)
{
	return s->view.service.mode == SW_MODE_AUTO;
}

void put_service_armed(FILE *f, const struct metric *m, const struct readings *all)
{
	EACH_SERVICE(s, r, all)
	if (is_auto(s))
		put_one(f, m, r, s, s->view.state.armed);
}

void put_service_arms(FILE *f, const struct metric *m, const struct readings *all)
{
	EACH_SERVICE(s, r, all)
	if (is_auto(s))
		put_one(f, m, r, s, s->view.state.arms);
}

void put_service_half_open(FILE *f, const struct metric *m, const struct readings *all)
{
	__u64 now_ns = tracer_clock_ns(CLOCK_MONOTONIC);

	EACH_SERVICE(s, r, all)
	if (is_auto(s) && (r->info.path != SW_PATH_PROXY || !s->view.translated))
		put_one(f, m, r, s,
			sw_peak(s->view.state.half_open_now, s->view.state.half_open_before,
				now_ns));
}

static void put_column(FILE *f, const struct metric *m, const struct readings *all,
		       enum names_column_id column)
{
	EACH_SERVICE(s, r, all)
	put_one(f, m, r, s, counters_sum(&s->counters, column));
}

void put_service_syns(FILE *f, const struct metric *m, const struct readings *all)
{
	put_column(f, m, all, COLUMN_SYNS);
}

void put_service_synacks(FILE *f, const struct metric *m, const struct readings *all)
{
	put_column(f, m, all, COLUMN_SYNACKS);
}

void put_service_valid(FILE *f, const struct metric *m, const struct readings *all)
{
	put_column(f, m, all, COLUMN_VALID);
}

void put_service_dropped(FILE *f, const struct metric *m, const struct readings *all)
{
	put_column(f, m, all, COLUMN_DROPPED);
}

void put_service_monitored(FILE *f, const struct metric *m, const struct readings *all)
{
	int i;

	EACH_SERVICE(s, r, all)
	for (i = 0; s->view.service.mode == SW_MODE_MONITOR && i < SW_REASON_COUNT; i++)
		fprintf(f, "%s{interface=\"%s\",service=\"%s\",reason=\"%s\",action=\"%s\"} %llu\n",
			m->name, r->guard.ifname, s->view.service.name, names_verdict[i].name,
			names_action(names_verdict[i].action), s->would.verdict[i]);
}

/* A bucket of Prometheus holds those below it too; the map's last one is all above. */
static void put_histogram(FILE *f, const struct metric *m, const struct reading *r,
			  const struct service_reading *s)
{
	char labels[128];
	__u64 below = 0;
	int b;

	snprintf(labels, sizeof(labels), "interface=\"%s\",service=\"%s\"", r->guard.ifname,
		 s->view.service.name);
	for (b = 0; b < SW_RTT_BUCKETS; b++) {
		below += s->rtt.bucket[b];
		if (b + 1 < SW_RTT_BUCKETS)
			fprintf(f, "%s_bucket{%s,le=\"%.15g\"} %llu\n", m->name, labels,
				(double)(2ULL << b) / 1e6, below);
	}
	fprintf(f, "%s_bucket{%s,le=\"+Inf\"} %llu\n%s_sum{%s} %.15g\n%s_count{%s} %llu\n", m->name,
		labels, below, m->name, labels, (double)s->rtt.sum_us / 1e6, m->name, labels,
		below);
}

void put_rtt(FILE *f, const struct metric *m, const struct readings *all)
{
	EACH_SERVICE(s, r, all)
	put_histogram(f, m, r, s);
}
