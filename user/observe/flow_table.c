// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "flow_table.h"
#include "pins.h"

#define BATCH 4096 /* flows a system call */

struct batch {
	struct sw_tuple key[BATCH];
	struct sw_flow flow[BATCH];
};

static int check_shape(int fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		return -errno;
	return info.key_size == sizeof(struct sw_tuple) && info.value_size == sizeof(struct sw_flow)
		       ? 0
		       : -EPROTO;
}

void flow_address(__u64 hi, __u64 lo, bool v6, __u8 ret[16])
{
	__u64 word[2] = {hi, lo};
	__u32 v4 = (__u32)lo;

	if (v6) {
		memcpy(ret, word, sizeof(word));
		return;
	}
	memset(ret, 0, 10);
	memset(ret + 10, 0xff, 2);
	memcpy(ret + 12, &v4, sizeof(v4));
}

int flow_table_open(const struct guard *g, struct why *why)
{
	int fd, err;

	if (!guard_has(g, "flows"))
		return -ENOENT;
	fd = pins_open(g, "flows");
	if (fd < 0)
		return why_is(why, fd, "cannot open its flows: %s%s", strerror(-fd),
			      fd == -EACCES || fd == -EPERM ? "; run as root" : "");
	err = check_shape(fd);
	if (!err)
		return fd;
	close(fd);
	if (err == -EPROTO)
		return why_is(why, err,
			      "guarded by another version of synward; attach again with this one");
	return why_is(why, err, "cannot read its flows: %s", strerror(-err));
}

const char *const flow_state_names[SW_FLOW_STATES] = {
	"syn_sent", "established", "client_done", "server_done", "closing", "time_wait", "reset"};

/* Until enough, at the end of a batch; *ret_place is where, 0 at the end of the table. */
static int walk(int fd, flow_seen seen, void *arg, __u64 enough, __u32 *ret_place)
{
	struct batch *batch = malloc(sizeof(*batch));
	__u32 place = 0, count, i;
	bool first = true;
	__u64 all = 0;
	int err = 0;

	if (!batch)
		return -ENOMEM;
	do {
		count = BATCH;
		if (bpf_map_lookup_batch(fd, first ? NULL : &place, &place, batch->key, batch->flow,
					 &count, NULL))
			err = -errno;
		if (err && err != -ENOENT)
			break;
		for (i = 0; i < count; i++)
			seen(&batch->key[i], &batch->flow[i], arg);
		all += count;
		first = false;
	} while (!err && all < enough);
	free(batch);
	*ret_place = err ? 0 : place;
	return err == -ENOENT ? 0 : err;
}

int flow_table_each(int fd, flow_seen seen, void *arg)
{
	__u32 ignored;

	return walk(fd, seen, arg, ~0ULL, &ignored);
}

struct counted {
	struct flow_census census;
	__u64 now_ns;
};

static void count_flow(const struct sw_tuple *t, const struct sw_flow *f, void *arg)
{
	struct counted *counted = arg;

	if (sw_flow_expired(f, counted->now_ns))
		counted->census.expired++;
	else
		counted->census.state[sw_flow_state(f)]++;
}

/* The kernel has a power of two of hash buckets, and a batch ends at the number of one. */
static __u32 buckets_of(__u32 entries)
{
	__u32 buckets = 1;

	while (buckets < entries)
		buckets *= 2;
	return buckets;
}

int flow_table_census(int fd, struct flow_census *ret)
{
	struct counted counted = {.now_ns = flow_table_now_ns()};
	struct bpf_map_info info = {};
	__u32 length = sizeof(info), place, buckets;
	int err, i;

	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		return -errno;
	buckets = buckets_of(info.max_entries);
	err = walk(fd, count_flow, &counted, FLOW_CENSUS_EXACT, &place);
	if (err)
		return err;
	*ret = counted.census;
	ret->limit = info.max_entries - SW_FLOWS_SPARE;
	if (!place || place >= buckets)
		return 0;
	ret->expired = ret->expired * buckets / place;
	for (i = 0; i < SW_FLOW_STATES; i++)
		ret->state[i] = ret->state[i] * buckets / place;
	return 0;
}

__u64 flow_table_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SW_NS_PER_S + now.tv_nsec;
}

struct living {
	__u64 now_ns;
	long count;
};

static void count_living(const struct sw_tuple *t, const struct sw_flow *f, void *arg)
{
	struct living *living = arg;
	enum sw_flow_state state = sw_flow_state(f);

	if (state != SW_FLOW_TIME_WAIT && state != SW_FLOW_RESET &&
	    !sw_flow_expired(f, living->now_ns))
		living->count++;
}

long flow_table_live(const struct guard *g, struct why *why)
{
	struct living living = {.now_ns = flow_table_now_ns()};
	int fd = flow_table_open(g, why), err;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = flow_table_each(fd, count_living, &living);
	close(fd);
	if (err)
		return why_is(why, err, "cannot read its flows: %s", strerror(-err));
	return living.count;
}

bool flow_table_hands_over(const struct guard *g)
{
	int fd = pins_open(g, "proxy");
	struct sw_proxy proxy = {};
	__u32 zero = 0;

	if (fd < 0)
		return false;
	if (bpf_map_lookup_elem(fd, &zero, &proxy))
		proxy.hands_over = 0;
	close(fd);
	return proxy.hands_over;
}

int flow_table_drain(const struct guard *g, bool on, struct why *why)
{
	int fd = pins_open(g, "proxy"), err = 0;
	struct sw_proxy proxy;
	__u32 zero = 0;

	if (fd == -ENOENT)
		return why_is(why, fd,
			      "has no flows to wait for: it is not guarded on the proxy path");
	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, &proxy))
		err = fd < 0 ? fd : -errno;
	proxy.draining = on;
	if (!err && bpf_map_update_elem(fd, &zero, &proxy, BPF_ANY))
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err ? why_is(why, err, "cannot drain it: %s", strerror(-err)) : 0;
}
