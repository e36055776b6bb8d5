// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "forward.h"
#include "netdev.h"
#include "pins.h"
#include "say.h"
#include "xdp_ways.h"

#define FORWARD_LINK "forward_link" /* the pin */

/* A frame sent by XDP to a veth whose peer does not poll is lost. */
static int check_target(const char *ifname, unsigned int ifindex, struct why *why)
{
	enum netdev_peer peer;

	if (!netdev_peer(ifindex, &peer) && peer == NETDEV_PEER_NO_XDP)
		return why_is(why, -EOPNOTSUPP,
			      "--forward: the veth peer of %s has no XDP program, so what is "
			      "forwarded to it would be lost; give it one, or use --xdp generic",
			      ifname);
	return 0;
}

int forward_resolve(const struct guard *g, const char *ifname, enum sw_xdp_mode mode,
		    unsigned int *ret, struct why *why)
{
	unsigned int ifindex = if_nametoindex(ifname);
	int err = 0;

	*ret = 0;
	if (!ifname[0])
		return 0;
	if (!ifindex)
		return why_is(why, -ENODEV, "--forward: no interface '%s'", ifname);
	if (ifindex == g->ifindex)
		return why_is(why, -EINVAL,
			      "--forward takes the interface of the servers, not the guarded one");
	if (mode == SW_XDP_NATIVE)
		err = check_target(ifname, ifindex, why);
	if (!err && mode == SW_XDP_NATIVE)
		err = check_target(g->ifname, g->ifindex, why);
	if (!err)
		*ret = ifindex;
	return err;
}

static int attach_loaded(const struct guard *g, struct bpf_object *obj, enum sw_xdp_mode mode,
			 unsigned int ifindex, struct why *why)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = xdp_mode_flag(mode));
	char ifname[IF_NAMESIZE] = "?";
	int fd, err;

	fd = bpf_link_create(object_program(obj, OBJECT_FORWARD), ifindex, BPF_XDP, &opts);
	if (fd < 0) {
		err = -errno;
		if_indextoname(ifindex, ifname);
		return why_is(why, err, "--forward: %s takes no %s XDP program: %s%s", ifname,
			      xdp_mode_name(mode), strerror(-err),
			      err == -EBUSY || err == -EEXIST ? "; another one is there" : "");
	}
	err = pins_put(g, FORWARD_LINK, fd, 0600);
	if (err)
		why_is(why, err, "--forward: cannot pin the link: %s", strerror(-err));
	close(fd); /* unpinned, that detaches it */
	return err;
}

int forward_attach(const struct guard *g, const struct host *host, enum sw_xdp_mode mode,
		   unsigned int ifindex, struct why *why)
{
	struct bpf_object *obj;
	int err;

	if (!ifindex) {
		forward_detach(g);
		return 0;
	}
	err = host_open_xdp(host, OBJECT_FORWARD, mode, &obj);
	if (err)
		return why_is(why, err, "--forward: cannot open the XDP program: %s",
			      strerror(-err));
	err = xdp_load(obj, why);
	if (!err) {
		forward_detach(g);
		err = attach_loaded(g, obj, mode, ifindex, why);
	}
	bpf_object__close(obj);
	return err;
}

/* Unpinning alone would detach too, but later (xdp_link.c). */
void forward_detach(const struct guard *g)
{
	int fd = pins_open(g, FORWARD_LINK);

	if (fd < 0)
		return;
	bpf_link_detach(fd);
	close(fd);
	pins_drop(g, FORWARD_LINK);
}

bool forward_is_on(const struct guard *g, unsigned int ifindex)
{
	struct bpf_link_info info = {};
	__u32 length = sizeof(info);
	int fd = pins_open(g, FORWARD_LINK);
	bool on;

	if (fd < 0)
		return false;
	on = !bpf_obj_get_info_by_fd(fd, &info, &length) && info.xdp.ifindex == ifindex;
	close(fd);
	return on;
}
