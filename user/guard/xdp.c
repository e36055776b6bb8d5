// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <linux/if_link.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "say.h"
#include "xdp_ways.h"

const char *xdp_mode_name(enum sw_xdp_mode mode)
{
	return mode == SW_XDP_NATIVE ? "native" : "generic";
}

const char *xdp_kind_name(enum sw_attach_kind kind)
{
	return kind == SW_ATTACH_LINK ? "link" : "libxdp";
}

__u32 xdp_mode_flag(enum sw_xdp_mode mode)
{
	return mode == SW_XDP_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
}

/* The kernel's own words, where it sent any, say more than an errno. */
int xdp_refused(struct why *why, int err, enum sw_xdp_mode mode)
{
	const char *kernel = say_kernel_message();

	if (err == -EOPNOTSUPP && mode == SW_XDP_NATIVE)
		return why_is(why, err, "the driver has no native XDP%s%s%s; use --xdp generic",
			      kernel[0] ? " (kernel: " : "", kernel, kernel[0] ? ")" : "");
	return why_is(why, err, "cannot attach %s XDP: %s%s%s", xdp_mode_name(mode), strerror(-err),
		      kernel[0] ? "; the kernel says: " : "", kernel);
}

/*
 * Drivers refuse native XDP with many an errno: for the MTU (virtio_net, i40e: EINVAL; veth:
 * ERANGE), queues (virtio_net: ENOMEM) or off-loads. All of them are one to who attaches alone.
 */
int xdp_refused_alone(struct why *why, int err, enum sw_xdp_mode mode)
{
	const char *kernel = say_kernel_message();

	if (mode != SW_XDP_NATIVE || err == -EOPNOTSUPP || err == -EPERM || err == -EBUSY ||
	    err == -EEXIST || err == -ENODEV)
		return xdp_refused(why, err, mode);
	return why_is(why, -EOPNOTSUPP, "the driver refuses native XDP (%s%s%s); use --xdp generic",
		      strerror(-err), kernel[0] ? ", kernel: " : "", kernel);
}

int xdp_load(struct bpf_object *obj, struct why *why)
{
	int err = bpf_object__load(obj);

	if (!err)
		return 0;
	return why_is(why, err,
		      "the kernel refused the XDP program: %s; -v shows the verifier's log",
		      strerror(-err));
}

static bool is_ours(const struct xdp_program *prog)
{
	const char *name = xdp_program__name(prog);

	return name && !strcmp(name, OBJECT_XDP);
}

static void note_ours(struct xdp_state *state, const struct xdp_program *prog)
{
	if (state->ours_count < XDP_OURS_MAX)
		state->ours[state->ours_count++] = xdp_program__id(prog);
}

static void look_at_single(struct xdp_state *state, const struct xdp_program *prog)
{
	if (is_ours(prog)) {
		note_ours(state, prog);
		return;
	}
	state->foreign_id = xdp_program__id(prog);
	snprintf(state->foreign_name, sizeof(state->foreign_name), "%s",
		 xdp_program__name(prog) ?: "?");
}

int xdp_look(const struct guard *g, struct xdp_state *ret, struct why *why)
{
	struct xdp_multiprog *mp = xdp_multiprog__get_from_ifindex(g->ifindex);
	struct xdp_state state = {};
	struct xdp_program *prog;
	int err = libxdp_get_error(mp);

	if (err == -ENOENT || !mp) {
		*ret = state;
		return 0;
	}
	if (err)
		return why_is(why, err, "cannot see what is on the XDP hook: %s%s", strerror(-err),
			      err == -EPERM ? "; run as root" : "");
	state.mode =
		xdp_multiprog__attach_mode(mp) == XDP_MODE_SKB ? SW_XDP_GENERIC : SW_XDP_NATIVE;
	state.dispatcher = !xdp_multiprog__is_legacy(mp);
	if (!state.dispatcher && xdp_multiprog__main_prog(mp))
		look_at_single(&state, xdp_multiprog__main_prog(mp));
	for (prog = NULL; state.dispatcher && (prog = xdp_multiprog__next_prog(prog, mp));) {
		if (is_ours(prog))
			note_ours(&state, prog);
	}
	xdp_multiprog__close(mp);
	*ret = state;
	return 0;
}

int xdp_open_ours(const struct xdp_state *state)
{
	int fd = bpf_prog_get_fd_by_id(state->ours[0]);

	return fd < 0 ? -errno : fd;
}

static int in_the_way(struct why *why, const struct xdp_state *state)
{
	return why_is(why, -EBUSY,
		      "the XDP program %s (id %u) holds the hook and does not share it; detach "
		      "that one first",
		      state->foreign_name, state->foreign_id);
}

typedef int (*way_to_attach)(const struct guard *g, struct bpf_object *obj, enum sw_xdp_mode mode,
			     struct why *why);

static int attach_by(way_to_attach way, const struct guard *g, const struct host *host,
		     enum sw_xdp_mode mode, struct why *why)
{
	struct bpf_object *obj;
	int err;

	err = host_open_xdp(host, OBJECT_XDP, mode, &obj);
	if (err)
		return why_is(why, err, "cannot open the XDP program: %s", strerror(-err));
	say_forget_kernel();
	err = way(g, obj, mode, why);
	bpf_object__close(obj);
	return err;
}

int xdp_attach(const struct guard *g, const struct host *host, enum sw_xdp_mode mode,
	       enum sw_attach_kind kind, struct why *why)
{
	struct xdp_state state;
	int err;

	err = xdp_look(g, &state, why);
	if (err)
		return err;
	if (state.foreign_id)
		return in_the_way(why, &state);
	if (state.dispatcher && kind == SW_ATTACH_LINK)
		return why_is(why, -EBUSY,
			      "libxdp's dispatcher is on the XDP hook and --attach link shares "
			      "with none; use --attach libxdp");
	if (kind == SW_ATTACH_LINK)
		return attach_by(xdp_link_attach, g, host, mode, why);
	err = attach_by(xdp_libxdp_attach, g, host, mode, why);
	if (!err || err == -EOPNOTSUPP)
		return err;
	if (state.dispatcher)
		return why_is(
			why, err,
			"the libxdp dispatcher on the XDP hook refuses the program (%s); take "
			"the others off, or use libxdp 1.5.5 or newer for them and synward",
			strerror(-err));
	/*
	 * On an empty hook we go alone. Linux 6.12.5 and later: "Extension program changes
	 * packet data, while original does not", until libxdp 1.5.5 (xdp-tools #503).
	 */
	return attach_by(xdp_single_attach, g, host, mode, why);
}

int xdp_replace(const struct guard *g, const struct host *host, const struct xdp_state *state,
		enum sw_attach_kind kind, const struct xdp_both_on *both_on, struct why *why)
{
	struct bpf_object *obj;
	int err;

	err = host_open_xdp(host, OBJECT_XDP, state->mode, &obj);
	if (err)
		return why_is(why, err, "cannot open the XDP program: %s", strerror(-err));
	say_forget_kernel();
	if (kind == SW_ATTACH_LINK)
		err = xdp_link_replace(g, obj, state, why);
	else if (state->dispatcher)
		err = xdp_dispatcher_replace(g, obj, state, both_on, why);
	else
		err = xdp_single_replace(g, obj, state, why);
	bpf_object__close(obj);
	return err;
}

int xdp_detach(const struct guard *g, const struct xdp_state *state, struct why *why)
{
	if (!state->ours_count)
		return 0;
	if (guard_has(g, GUARD_XDP_LINK))
		return xdp_link_detach(g, why);
	if (state->dispatcher)
		return xdp_dispatcher_detach(g, state, why);
	return xdp_single_detach(g, state, why);
}
