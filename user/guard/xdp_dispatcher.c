// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "xdp_ways.h"

static enum xdp_attach_mode libxdp_mode(enum sw_xdp_mode mode)
{
	return mode == SW_XDP_NATIVE ? XDP_MODE_NATIVE : XDP_MODE_SKB;
}

/* Loads or attaches through libxdp: into its dispatcher, or alone where the kernel has none. */
int xdp_libxdp_attach(const struct guard *g, struct bpf_object *obj, enum sw_xdp_mode mode,
		      struct why *why)
{
	LIBBPF_OPTS(xdp_program_opts, opts, .obj = obj,
		    .prog_name = OBJECT_XDP);
	struct xdp_program *prog = xdp_program__create(&opts);
	int err;

	if (!prog)
		return why_is(why, -errno, "libxdp cannot use the XDP program: %s",
			      strerror(errno));
	err = xdp_program__attach(prog, g->ifindex, libxdp_mode(mode), 0);
	if (err)
		err = xdp_refused(why, err, mode);
	xdp_program__close(prog);
	return err;
}

/* Takes ours out of libxdp's dispatcher; the rest of it stays. */
static int leave_dispatcher(const struct guard *g, __u32 prog_id, enum sw_xdp_mode mode,
			    struct why *why)
{
	struct xdp_multiprog *mp = xdp_multiprog__get_from_ifindex(g->ifindex);
	struct xdp_program *prog = NULL;
	int err = libxdp_get_error(mp);

	if (err)
		return why_is(why, err, "cannot see libxdp's dispatcher: %s", strerror(-err));
	while ((prog = xdp_multiprog__next_prog(prog, mp))) {
		if (xdp_program__id(prog) == prog_id)
			break;
	}
	err = prog ? xdp_program__detach(prog, g->ifindex, libxdp_mode(mode), 0) : 0;
	if (err)
		why_is(why, err, "cannot leave libxdp's dispatcher: %s", strerror(-err));
	xdp_multiprog__close(mp);
	return err;
}

/*
 * New in, then old out: for a moment both run. Of the same path, what one has judged the other
 * lets by; of two paths both_on tells them who judges.
 */
int xdp_dispatcher_replace(const struct guard *g, struct bpf_object *obj,
			   const struct xdp_state *state, const struct xdp_both_on *both_on,
			   struct why *why)
{
	int err = xdp_libxdp_attach(g, obj, state->mode, why), i;

	if (!err && both_on) {
		err = both_on->call(both_on->arg);
		if (err)
			why_is(why, err, "cannot write to the maps: %s", strerror(-err));
	}
	for (i = 0; !err && i < state->ours_count; i++)
		err = leave_dispatcher(g, state->ours[i], state->mode, why);
	return err;
}

int xdp_dispatcher_detach(const struct guard *g, const struct xdp_state *state, struct why *why)
{
	int err = 0, i;

	for (i = 0; !err && i < state->ours_count; i++)
		err = leave_dispatcher(g, state->ours[i], state->mode, why);
	return err;
}
