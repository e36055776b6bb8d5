// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>
#include <unistd.h>

#include <linux/if_link.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "xdp_ways.h"

int xdp_single_attach(const struct guard *g, struct bpf_object *obj, enum sw_xdp_mode mode,
		      struct why *why)
{
	int err = xdp_load(obj, why);

	if (err)
		return err;
	err = bpf_xdp_attach(g->ifindex, object_program(obj, OBJECT_XDP),
			     xdp_mode_flag(mode) | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
	return err ? xdp_refused_alone(why, err, mode) : 0;
}

int xdp_single_replace(const struct guard *g, struct bpf_object *obj, const struct xdp_state *state,
		       struct why *why)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	int err;

	err = xdp_load(obj, why);
	if (err)
		return err;
	opts.old_prog_fd = xdp_open_ours(state);
	if (opts.old_prog_fd < 0)
		return xdp_refused(why, opts.old_prog_fd, state->mode);
	err = bpf_xdp_attach(g->ifindex, object_program(obj, OBJECT_XDP),
			     xdp_mode_flag(state->mode), &opts);
	close(opts.old_prog_fd);
	return err ? xdp_refused(why, err, state->mode) : 0;
}

int xdp_single_detach(const struct guard *g, const struct xdp_state *state, struct why *why)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = xdp_open_ours(state));
	int err;

	if (opts.old_prog_fd < 0)
		return why_is(why, opts.old_prog_fd, "cannot open the running XDP program: %s",
			      strerror(-opts.old_prog_fd));
	err = bpf_xdp_detach(g->ifindex, xdp_mode_flag(state->mode), &opts);
	close(opts.old_prog_fd);
	return err ? why_is(why, err, "cannot detach the XDP program: %s", strerror(-err)) : 0;
}
