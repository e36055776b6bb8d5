// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "netdev.h"
#include "pins.h"
#include "tc.h"

#define TCX_INGRESS 46 /* BPF_TCX_INGRESS, newer than the headers of libbpf 1.1 */
#define TCX_EGRESS 47
#define LINK_TCX 11 /* BPF_LINK_TYPE_TCX */
#define BEFORE_ALL (1U << 3) /* BPF_F_BEFORE, of no program in particular */

/* Where our filter sits on clsact: found again by it. "SW" in ASCII. */
#define OUR_PRIORITY 0x5357
#define OUR_HANDLE 1

const char *tc_kind_name(enum sw_tc_kind kind)
{
	static const char *const names[] = {
		[SW_TC_NONE] = "none", [SW_TC_TCX] = "tcx", [SW_TC_CLSACT] = "clsact"};

	return names[kind];
}

static const char *way_name(enum tc_way way)
{
	return way == TC_EGRESS ? "egress" : "ingress";
}

static enum tc_way other_way(enum tc_way way)
{
	return way == TC_EGRESS ? TC_INGRESS : TC_EGRESS;
}

static enum bpf_tc_attach_point point_of(enum tc_way way)
{
	return way == TC_EGRESS ? BPF_TC_EGRESS : BPF_TC_INGRESS;
}

static enum bpf_attach_type tcx_of(enum tc_way way)
{
	return way == TC_EGRESS ? TCX_EGRESS : TCX_INGRESS;
}

static int attach_tcx(const struct guard *g, int prog_fd, enum tc_way way, const char *pin)
{
	/* At ingress in front: what comes before may take the frame, as XDP left it, elsewhere. */
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = way == TC_INGRESS ? BEFORE_ALL : 0);
	int fd = bpf_link_create(prog_fd, g->ifindex, tcx_of(way), &opts), err;

	if (fd < 0)
		return -errno;
	err = pins_put(g, pin, fd, 0600);
	close(fd);
	return err;
}

static int make_clsact(const struct guard *g)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = g->ifindex, .attach_point = BPF_TC_INGRESS);
	char mark[GUARD_PATH];
	int err = bpf_tc_hook_create(&hook);

	if (err == -EEXIST)
		return 0;
	if (err)
		return err;
	guard_path(g, GUARD_CLSACT, mark);
	return mkdir(mark, 0700) && errno != EEXIST ? -errno : 0;
}

static int put_filter(const struct guard *g, int prog_fd, enum tc_way way)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = g->ifindex, .attach_point = point_of(way));
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd, .handle = OUR_HANDLE,
		    .priority = OUR_PRIORITY, .flags = BPF_TC_F_REPLACE);

	return bpf_tc_attach(&hook, &opts);
}

static int query_way(const struct guard *g, enum tc_way way, __u32 *ret_id)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = g->ifindex, .attach_point = point_of(way));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = OUR_HANDLE, .priority = OUR_PRIORITY);
	int err = bpf_tc_query(&hook, &opts);

	if (!err)
		*ret_id = opts.prog_id;
	return err;
}

/* The id of the program in our filter and the way it looks, or a negative errno. */
static int query_filter(const struct guard *g, enum tc_way *ret_way, __u32 *ret_id)
{
	*ret_way = TC_INGRESS;
	if (!query_way(g, TC_INGRESS, ret_id))
		return 0;
	*ret_way = TC_EGRESS;
	return query_way(g, TC_EGRESS, ret_id);
}

static int attach_clsact(const struct guard *g, int prog_fd, enum tc_way way)
{
	int err = make_clsact(g);

	return err ? err : put_filter(g, prog_fd, way);
}

static int attach_as(const struct guard *g, int prog_fd, enum tc_way way, const char *pin,
		     enum sw_tc_kind *ret_kind, struct why *why)
{
	enum sw_tc_kind kind = SW_TC_TCX;
	int err = attach_tcx(g, prog_fd, way, pin);

	if (err == -EINVAL || err == -EOPNOTSUPP) { /* a kernel without tcx */
		kind = SW_TC_CLSACT;
		err = attach_clsact(g, prog_fd, way);
	}
	if (err)
		return why_is(why, err, "cannot attach to tc %s: %s", way_name(way),
			      strerror(-err));
	*ret_kind = kind;
	return 0;
}

int tc_attach(const struct guard *g, int prog_fd, enum tc_way way, enum sw_tc_kind *ret_kind,
	      struct why *why)
{
	return attach_as(g, prog_fd, way, GUARD_TC_LINK, ret_kind, why);
}

/* struct bpf_link_info with its tcx member, which the headers here may lack. */
union link {
	struct bpf_link_info info;
	struct {
		__u32 type, id, prog_id, pad, ifindex, attach_type;
	} tcx;
};

static int look_at_link(const struct guard *g, const char *pin, union link *ret)
{
	union link link = {};
	__u32 length = sizeof(link);
	int fd = pins_open(g, pin), err = 0;

	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &link.info, &length))
		err = -errno;
	close(fd);
	if (!err && link.tcx.type != LINK_TCX)
		err = -EINVAL;
	if (!err)
		*ret = link;
	return err;
}

static bool link_is_on(const struct guard *g, const char *pin)
{
	union link link;

	return !look_at_link(g, pin, &link) && link.tcx.ifindex == g->ifindex;
}

/* Of the two programs of a guard on the proxy path the second. */
static bool hand_is_gone(const struct guard *g)
{
	return guard_has(g, GUARD_TC_HAND) && !link_is_on(g, GUARD_TC_HAND);
}

/* The first. */
static bool is_on(const struct guard *g, enum sw_tc_kind *ret_kind)
{
	enum tc_way way;
	__u32 prog_id;

	*ret_kind = guard_has(g, GUARD_TC_LINK) ? SW_TC_TCX : SW_TC_CLSACT;
	if (*ret_kind == SW_TC_TCX)
		return link_is_on(g, GUARD_TC_LINK);
	return !query_filter(g, &way, &prog_id);
}

int tc_look(const struct guard *g, enum sw_tc_kind *ret_kind)
{
	return is_on(g, ret_kind) && !hand_is_gone(g);
}

bool tc_proves_dead(const struct guard *g)
{
	union link link;

	return !look_at_link(g, GUARD_TC_LINK, &link) && !link.tcx.ifindex;
}

static int open_program(__u32 id)
{
	int fd = bpf_prog_get_fd_by_id(id);

	return fd < 0 ? -errno : fd;
}

static int replace_tcx(const struct guard *g, int prog_fd, const char *pin)
{
	int fd = pins_open(g, pin), err = 0;

	if (fd < 0)
		return fd;
	if (bpf_link_update(fd, prog_fd, NULL))
		err = -errno;
	close(fd);
	return err;
}

static int detach_tcx(const struct guard *g, const char *pin)
{
	int fd = pins_open(g, pin), err = 0;

	if (fd < 0)
		return fd;
	/* Of a dead interface the link is detached already. */
	if (bpf_link_detach(fd) && errno != ENOLINK)
		err = -errno;
	close(fd);
	return err ? err : pins_drop(g, pin);
}

int tc_hand_attach(const struct guard *g, int prog_fd, struct why *why)
{
	int err = prog_fd < 0 ? -EOPNOTSUPP : 0;

	if (!err && link_is_on(g, GUARD_TC_HAND)) {
		err = replace_tcx(g, prog_fd, GUARD_TC_HAND);
	} else if (!err) {
		pins_drop(g, GUARD_TC_HAND);
		err = attach_tcx(g, prog_fd, TC_INGRESS, GUARD_TC_HAND);
	}
	return err ? why_is(why, err, "cannot attach to tc ingress: %s", strerror(-err)) : 0;
}

void tc_hand_detach(const struct guard *g)
{
	if (guard_has(g, GUARD_TC_HAND))
		detach_tcx(g, GUARD_TC_HAND);
}

/* Nothing there: nothing to do. */
static int drop_filter(const struct guard *g, enum tc_way way)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = g->ifindex, .attach_point = point_of(way));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = OUR_HANDLE, .priority = OUR_PRIORITY);
	__u32 id;

	return query_way(g, way, &id) ? 0 : bpf_tc_detach(&hook, &opts);
}

void tc_next_drop(const struct guard *g, enum tc_way way)
{
	if (guard_has(g, GUARD_TC_NEXT))
		detach_tcx(g, GUARD_TC_NEXT);
	else if (!guard_has(g, GUARD_TC_LINK))
		drop_filter(g, way);
}

/* In this order: killed on the way, one of the two is found by its pin, or both. */
static int keep_tcx(const struct guard *g)
{
	char next[GUARD_PATH], path[GUARD_PATH];
	int old = pins_open(g, GUARD_TC_LINK), err = 0;

	guard_path(g, GUARD_TC_NEXT, next);
	guard_path(g, GUARD_TC_LINK, path);
	if (rename(next, path))
		err = -errno;
	if (!err && old >= 0 && bpf_link_detach(old) && errno != ENOLINK)
		err = -errno;
	if (old >= 0)
		close(old);
	return err;
}

int tc_next_keep(const struct guard *g, enum tc_way way, struct why *why)
{
	int err = guard_has(g, GUARD_TC_NEXT) ? keep_tcx(g) : drop_filter(g, other_way(way));

	return err ? why_is(why, err, "cannot take the program off tc %s: %s",
			    way_name(other_way(way)), strerror(-err))
		   : 0;
}

/* Programs on both ways, as a process left them that was killed: way's is the one that counts. */
static void finish_next(const struct guard *g, enum tc_way way)
{
	struct why ignored;
	union link link;

	if (!look_at_link(g, GUARD_TC_NEXT, &link) && link.tcx.attach_type == tcx_of(way))
		tc_next_keep(g, way, &ignored);
	else
		tc_next_drop(g, other_way(way));
}

int tc_replace(const struct guard *g, int prog_fd, enum tc_way way, enum sw_tc_kind *ret_kind,
	       int *ret_old_fd, struct why *why)
{
	enum sw_tc_kind kind;
	union link link = {};
	int err, old_fd;
	__u32 id = 0;

	finish_next(g, way);
	if (!is_on(g, &kind)) {
		pins_drop(g, GUARD_TC_LINK);
		*ret_old_fd = -1;
		return tc_attach(g, prog_fd, way, ret_kind, why);
	}
	if (kind == SW_TC_TCX)
		err = look_at_link(g, GUARD_TC_LINK, &link);
	else
		err = query_filter(g, &way, &id);
	old_fd = err ? err : open_program(kind == SW_TC_TCX ? link.tcx.prog_id : id);
	if (old_fd < 0)
		return why_is(why, old_fd, "cannot open the program on tc %s: %s", way_name(way),
			      strerror(-old_fd));
	err = kind == SW_TC_TCX ? replace_tcx(g, prog_fd, GUARD_TC_LINK) : put_filter(g, prog_fd, way);
	if (err) {
		close(old_fd);
		return why_is(why, err, "cannot replace the program on tc %s: %s", way_name(way),
			      strerror(-err));
	}
	*ret_kind = kind;
	*ret_old_fd = old_fd;
	return 0;
}

int tc_next_attach(const struct guard *g, int prog_fd, enum tc_way way, enum sw_tc_kind *ret_kind,
		   struct why *why)
{
	finish_next(g, other_way(way));
	return attach_as(g, prog_fd, way, GUARD_TC_NEXT, ret_kind, why);
}

static int detach_clsact(const struct guard *g)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = g->ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	int err = drop_filter(g, TC_INGRESS);

	if (!err)
		err = drop_filter(g, TC_EGRESS);
	if (err)
		return err;
	if (!guard_has(g, GUARD_CLSACT))
		return 0;
	if (!netdev_has_filters(g->ifindex)) {
		err = bpf_tc_hook_destroy(&hook);
		if (err && err != -ENOENT && err != -EINVAL)
			return err;
	}
	return pins_drop(g, GUARD_CLSACT);
}

int tc_detach(const struct guard *g, struct why *why)
{
	int err = 0;

	if (guard_has(g, GUARD_TC_NEXT))
		err = detach_tcx(g, GUARD_TC_NEXT);
	if (!err && guard_has(g, GUARD_TC_LINK))
		err = detach_tcx(g, GUARD_TC_LINK);
	tc_hand_detach(g);
	if (!err && g->ifname[0])
		err = detach_clsact(g);
	if (err)
		why_is(why, err, "cannot detach from tc: %s", strerror(-err));
	return err;
}
