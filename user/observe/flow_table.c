// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "flow_table.h"
#include "pins.h"

/* The table as the kernel has it, to be read while it is written to. */
struct view {
	const struct sw_flow_set *set;
	__u32 sets;
};

static int view_open(int fd, struct view *ret)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);
	void *at;

	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		return -errno;
	at = mmap(NULL, (size_t)info.max_entries * sizeof(struct sw_flow_set), PROT_READ,
		  MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	*ret = (struct view){at, info.max_entries};
	return 0;
}

static void view_close(const struct view *view)
{
	munmap((void *)view->set, (size_t)view->sets * sizeof(*view->set));
}

static int check_shape(int fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		return -errno;
	return info.type == BPF_MAP_TYPE_ARRAY && info.value_size == sizeof(struct sw_flow_set)
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

static bool is_live(const struct sw_flow_place *p)
{
	return *(const volatile __u8 *)&p->tuple.pad[0];
}

/* A copy of what is in a place. False: nothing, or it is just being taken or left. */
static bool read_place(const struct sw_flow_place *p, struct sw_flow_place *ret)
{
	if (!is_live(p))
		return false;
	__sync_synchronize();
	*ret = *p;
	__sync_synchronize();
	return is_live(p) && sw_flow_place_is(p, &ret->tuple);
}

/* Until enough flows were seen, at the end of a set. Returns how many sets were looked at. */
static __u32 walk(const struct view *view, flow_seen seen, void *arg, __u64 enough)
{
	struct sw_flow_place place;
	__u64 all = 0;
	__u32 at, way;

	for (at = 0; at < view->sets && all < enough; at++) {
		for (way = 1; way <= SW_FLOW_WAYS; way++) {
			if (!view->set[at].tag[way] ||
			    !read_place(&view->set[at].place[way], &place))
				continue;
			seen(&place.tuple, &place.flow, arg);
			all++;
		}
	}
	return at;
}

int flow_table_each(int fd, flow_seen seen, void *arg)
{
	struct view view;
	int err = view_open(fd, &view);

	if (err)
		return err;
	walk(&view, seen, arg, ~0ULL);
	view_close(&view);
	return 0;
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

int flow_table_census(int fd, struct flow_census *ret)
{
	struct counted counted = {.now_ns = flow_table_now_ns()};
	struct view view;
	__u32 seen;
	int err = view_open(fd, &view), i;

	if (err)
		return err;
	seen = walk(&view, count_flow, &counted, FLOW_CENSUS_EXACT);
	*ret = counted.census;
	ret->limit = view.sets * SW_FLOWS_A_SET;
	ret->expired = ret->expired * view.sets / seen;
	for (i = 0; i < SW_FLOW_STATES; i++)
		ret->state[i] = ret->state[i] * view.sets / seen;
	view_close(&view);
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
