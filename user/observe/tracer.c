// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "pins.h"
#include "tracer.h"

#define LEASE_NS 3000000000ULL /* a machine so busy that a renewal comes late is just when one traces */

__u64 tracer_clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static int open_pin(const struct guard *g, const char *name, struct why *why)
{
	int fd = pins_open(g, name);

	if (fd >= 0)
		return fd;
	if (fd == -EACCES || fd == -EPERM)
		return why_is(why, fd, "looking at single segments needs root");
	if (fd != -ENOENT)
		return why_is(why, fd, "cannot open its map '%s': %s", name, strerror(-fd));
	if (guard_has(g, "counters"))
		return why_is(why, fd,
			      "guarded by another version of synward; attach again with this one");
	return why_is(why, fd, "is not guarded; 'synward attach %s' does that", g->ifname);
}

static int map_control(const struct guard *g, struct tracer *t, struct why *why)
{
	int fd = open_pin(g, "trace", why), err = 0;
	void *at;

	if (fd < 0)
		return fd;
	at = mmap(NULL, sizeof(*t->control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		err = why_is(why, -errno, "cannot reach into its map 'trace': %s", strerror(errno));
	else
		t->control = at;
	close(fd);
	return err;
}

static int open_common(const struct guard *g, __u32 what, struct tracer *ret, struct why *why)
{
	int err;

	*ret = (struct tracer){.cpu_fd = -1, .what = what};
	err = map_control(g, ret, why);
	if (err)
		return err;
	ret->cpu_fd = open_pin(g, "trace_cpu", why);
	return ret->cpu_fd < 0 ? ret->cpu_fd : 0;
}

/* Taken if nobody has it, or if who had it is gone. */
static int take(struct sw_trace *c, struct why *why)
{
	__u32 owner = __atomic_load_n(&c->owner_pid, __ATOMIC_ACQUIRE);
	bool alive = __atomic_load_n(&c->on, __ATOMIC_ACQUIRE) & SW_TRACE_SEGMENTS &&
		     tracer_clock_ns(CLOCK_MONOTONIC) < c->segments_until_ns;

	if (owner && alive && !(kill((pid_t)owner, 0) && errno == ESRCH))
		return why_is(why, -EBUSY, "is being traced by process %u; one at a time", owner);
	if (!__atomic_compare_exchange_n(&c->owner_pid, &owner, (__u32)getpid(), false,
					 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return why_is(why, -EBUSY, "is being traced by process %u; one at a time", owner);
	return 0;
}

static int discard(void *arg, void *data, size_t size)
{
	return 0;
}

/* What the ring still holds of an earlier tracer. */
static void drain(int ring_fd)
{
	struct ring_buffer *ring = ring_buffer__new(ring_fd, discard, NULL, NULL);

	if (!ring)
		return;
	ring_buffer__consume(ring);
	ring_buffer__free(ring);
}

static int open_ring(const struct guard *g, struct tracer *t, ring_buffer_sample_fn each, void *arg,
		     struct why *why)
{
	int fd = open_pin(g, "trace_ring", why), err = 0;

	if (fd < 0)
		return fd;
	__atomic_fetch_and(&t->control->on, ~SW_TRACE_SEGMENTS, __ATOMIC_ACQ_REL);
	drain(fd);
	t->ring = ring_buffer__new(fd, each, arg, NULL);
	if (!t->ring)
		err = why_is(why, -errno, "cannot read its ring: %s", strerror(errno));
	close(fd);
	return err;
}

int tracer_open_segments(const struct guard *g, const struct sw_trace_filter *filter,
			 ring_buffer_sample_fn each, void *arg, struct tracer *ret, struct why *why)
{
	struct tracer t;
	int err;

	err = open_common(g, SW_TRACE_SEGMENTS, &t, why);
	if (!err)
		err = take(t.control, why);
	if (!err)
		err = open_ring(g, &t, each, arg, why);
	if (!err)
		err = tracer_lost(&t, &t.lost_before);
	if (err) {
		tracer_close(&t);
		return err;
	}
	t.control->filter = *filter;
	*ret = t;
	return 0;
}

int tracer_open_samples(const struct guard *g, struct tracer *ret, struct why *why)
{
	struct tracer t;
	int err = open_common(g, SW_TRACE_SAMPLE, &t, why);

	if (err) {
		tracer_close(&t);
		return err;
	}
	*ret = t;
	return 0;
}

bool tracer_renew(struct tracer *t)
{
	bool segments = t->what == SW_TRACE_SEGMENTS;

	if (segments && t->control->owner_pid != (__u32)getpid())
		return false;
	__atomic_store_n(segments ? &t->control->segments_until_ns : &t->control->sample_until_ns,
			 tracer_clock_ns(CLOCK_MONOTONIC) + LEASE_NS, __ATOMIC_RELEASE);
	__atomic_fetch_or(&t->control->on, t->what, __ATOMIC_ACQ_REL);
	return true;
}

static struct sw_trace_cpu *read_cpus(const struct tracer *t, int *ret_count)
{
	int cpus = libbpf_num_possible_cpus();
	struct sw_trace_cpu *each = cpus > 0 ? calloc(cpus, sizeof(*each)) : NULL;
	__u32 zero = 0;

	if (each && bpf_map_lookup_elem(t->cpu_fd, &zero, each)) {
		free(each);
		return NULL;
	}
	*ret_count = cpus;
	return each;
}

int tracer_lost(const struct tracer *t, __u64 *ret_lost)
{
	struct sw_trace_cpu *each;
	__u64 lost = 0;
	int cpus, i;

	each = read_cpus(t, &cpus);
	if (!each)
		return -errno;
	for (i = 0; i < cpus; i++)
		lost += each[i].lost_rate + each[i].lost_ring;
	free(each);
	*ret_lost = lost - t->lost_before;
	return 0;
}

int tracer_samples(const struct tracer *t, struct tracer_position *position,
		   void (*tell)(const struct sw_sample *sample, double frames, void *arg), void *arg)
{
	struct sw_trace_cpu *each;
	double frames;
	int cpus, i;

	each = read_cpus(t, &cpus);
	if (!each)
		return -errno;
	for (i = 0; i < cpus; i++) {
		__u32 end = each[i].samples, at = position[i].samples;

		if (end - at > SW_SAMPLES)
			at = end - SW_SAMPLES;
		/* Not all CPUs are equally busy, but each samples as often as it may. */
		frames = (double)(each[i].unproven - position[i].unproven) / (end - at ?: 1);
		for (; at != end; at++)
			tell(&each[i].sample[at % SW_SAMPLES], frames, arg);
		position[i] = (struct tracer_position){each[i].unproven, end};
	}
	free(each);
	return 0;
}

void tracer_close(struct tracer *t)
{
	if (t->control && t->what == SW_TRACE_SEGMENTS && t->control->owner_pid == (__u32)getpid()) {
		__atomic_fetch_and(&t->control->on, ~SW_TRACE_SEGMENTS, __ATOMIC_ACQ_REL);
		__atomic_store_n(&t->control->owner_pid, 0, __ATOMIC_RELEASE);
	}
	ring_buffer__free(t->ring);
	if (t->control)
		munmap(t->control, sizeof(*t->control));
	if (t->cpu_fd >= 0)
		close(t->cpu_fd);
}
