// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "pins.h"
#include "xdp_ways.h"

int xdp_link_attach(const struct guard *g, struct bpf_object *obj, enum sw_xdp_mode mode,
		    struct why *why)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = xdp_mode_flag(mode));
	int fd, err;

	err = xdp_load(obj, why);
	if (err)
		return err;
	fd = bpf_link_create(object_program(obj, OBJECT_XDP), g->ifindex, BPF_XDP, &opts);
	if (fd < 0)
		return xdp_refused_alone(why, -errno, mode);
	err = pins_put(g, GUARD_XDP_LINK, fd, 0600);
	if (err)
		why_is(why, err, "cannot pin the XDP link: %s", strerror(-err));
	close(fd); /* unpinned, that detaches it */
	return err;
}

int xdp_link_replace(const struct guard *g, struct bpf_object *obj, const struct xdp_state *state,
		     struct why *why)
{
	int fd, err;

	err = xdp_load(obj, why);
	if (err)
		return err;
	fd = pins_open(g, GUARD_XDP_LINK);
	if (fd < 0)
		return xdp_refused(why, fd, state->mode);
	if (bpf_link_update(fd, object_program(obj, OBJECT_XDP), NULL))
		err = xdp_refused(why, -errno, state->mode);
	close(fd);
	return err;
}

/* Unpinning alone would detach too, but later: the kernel waits before it frees an inode. */
int xdp_link_detach(const struct guard *g, struct why *why)
{
	int fd = pins_open(g, GUARD_XDP_LINK), err = 0;

	if (fd < 0)
		return why_is(why, fd, "cannot open the XDP link's pin: %s", strerror(-fd));
	if (bpf_link_detach(fd))
		err = why_is(why, -errno, "cannot detach the XDP link: %s", strerror(errno));
	close(fd);
	return err ? err : pins_drop(g, GUARD_XDP_LINK);
}
