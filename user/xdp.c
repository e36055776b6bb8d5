// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <linux/if_link.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "pins.h"
#include "say.h"
#include "xdp.h"

#define OUR_NAME "synward_xdp"
#define OUR_SECTION "xdp.frags"

const char *xdp_mode_name(enum sw_xdp_mode mode)
{
	return mode == SW_XDP_NATIVE ? "native" : "generic";
}

const char *xdp_kind_name(enum sw_attach_kind kind)
{
	return kind == SW_ATTACH_LINK ? "link" : "libxdp";
}

static __u32 mode_flag(enum sw_xdp_mode mode)
{
	return mode == SW_XDP_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
}

static enum xdp_attach_mode libxdp_mode(enum sw_xdp_mode mode)
{
	return mode == SW_XDP_NATIVE ? XDP_MODE_NATIVE : XDP_MODE_SKB;
}

static bool is_ours(const struct xdp_program *prog)
{
	const char *name = xdp_program__name(prog);

	return name && !strcmp(name, OUR_NAME);
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

/* The kernel's own words, where it sent any, say more than an errno. */
static int refused(struct why *why, int err, enum sw_xdp_mode mode)
{
	const char *kernel = say_kernel_message();

	if (err == -EOPNOTSUPP && mode == SW_XDP_NATIVE)
		return why_is(why, err, "the driver has no native XDP; use --xdp generic%s%s%s",
			      kernel[0] ? " (kernel: " : "", kernel, kernel[0] ? ")" : "");
	return why_is(why, err, "cannot attach %s XDP: %s%s%s", xdp_mode_name(mode), strerror(-err),
		      kernel[0] ? "; the kernel says: " : "", kernel);
}

static int load_refused(struct why *why, int err)
{
	return why_is(why, err,
		      "the kernel refused the XDP program: %s; -v shows the verifier's log",
		      strerror(-err));
}

static int in_the_way(struct why *why, const struct xdp_state *state)
{
	return why_is(
		why, -EBUSY,
		"the XDP program %s (id %u) holds the hook and does not share it; detach that "
		"one first",
		state->foreign_name, state->foreign_id);
}

/* Loads or attaches through libxdp: into its dispatcher, or alone where the kernel has none. */
static int attach_libxdp(const struct guard *g, struct host_bpf *skel, enum sw_xdp_mode mode,
			 struct why *why)
{
	LIBBPF_OPTS(xdp_program_opts, opts, .obj = skel->obj, .prog_name = OUR_NAME);
	struct xdp_program *prog = xdp_program__create(&opts);
	int err;

	if (!prog)
		return why_is(why, -errno, "libxdp cannot use the XDP program: %s",
			      strerror(errno));
	err = xdp_program__attach(prog, g->ifindex, libxdp_mode(mode), 0);
	if (err)
		err = refused(why, err, mode);
	xdp_program__close(prog);
	return err;
}

static int attach_link(const struct guard *g, struct host_bpf *skel, enum sw_xdp_mode mode,
		       struct why *why)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = mode_flag(mode));
	int fd, err;

	err = host_bpf__load(skel);
	if (err)
		return load_refused(why, err);
	fd = bpf_link_create(bpf_program__fd(skel->progs.synward_xdp), g->ifindex, BPF_XDP, &opts);
	if (fd < 0)
		return refused(why, -errno, mode);
	err = pins_put(g, GUARD_XDP_LINK, fd, 0600);
	if (err)
		why_is(why, err, "cannot pin the XDP link: %s", strerror(-err));
	close(fd); /* unpinned, that detaches it */
	return err;
}

int xdp_attach(const struct guard *g, const struct host *host, enum sw_xdp_mode mode,
	       enum sw_attach_kind kind, struct why *why)
{
	struct xdp_state state;
	struct host_bpf *skel;
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
	err = host_open_xdp(host, mode, &skel);
	if (err)
		return why_is(why, err, "cannot open the XDP program: %s", strerror(-err));
	say_forget_kernel();
	if (kind == SW_ATTACH_LINK)
		err = attach_link(g, skel, mode, why);
	else
		err = attach_libxdp(g, skel, mode, why);
	host_bpf__destroy(skel);
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

/* New in, then old out: for a moment both run, and what one has judged the other lets by. */
static int replace_in_dispatcher(const struct guard *g, struct host_bpf *skel,
				 const struct xdp_state *state, struct why *why)
{
	int err = attach_libxdp(g, skel, state->mode, why), i;

	for (i = 0; !err && i < state->ours_count; i++)
		err = leave_dispatcher(g, state->ours[i], state->mode, why);
	return err;
}

static int replace_single(const struct guard *g, struct host_bpf *skel,
			  const struct xdp_state *state, struct why *why)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	int err;

	err = host_bpf__load(skel);
	if (err)
		return load_refused(why, err);
	opts.old_prog_fd = xdp_open_ours(state);
	if (opts.old_prog_fd < 0)
		return refused(why, opts.old_prog_fd, state->mode);
	err = bpf_xdp_attach(g->ifindex, bpf_program__fd(skel->progs.synward_xdp),
			     mode_flag(state->mode), &opts);
	close(opts.old_prog_fd);
	return err ? refused(why, err, state->mode) : 0;
}

static int replace_link(const struct guard *g, struct host_bpf *skel, const struct xdp_state *state,
			struct why *why)
{
	int fd, err;

	err = host_bpf__load(skel);
	if (err)
		return load_refused(why, err);
	fd = pins_open(g, GUARD_XDP_LINK);
	if (fd < 0)
		return refused(why, fd, state->mode);
	if (bpf_link_update(fd, bpf_program__fd(skel->progs.synward_xdp), NULL))
		err = refused(why, -errno, state->mode);
	close(fd);
	return err;
}

int xdp_replace(const struct guard *g, const struct host *host, const struct xdp_state *state,
		enum sw_attach_kind kind, struct why *why)
{
	struct host_bpf *skel;
	int err;

	err = host_open_xdp(host, state->mode, &skel);
	if (err)
		return why_is(why, err, "cannot open the XDP program: %s", strerror(-err));
	say_forget_kernel();
	if (kind == SW_ATTACH_LINK)
		err = replace_link(g, skel, state, why);
	else if (state->dispatcher)
		err = replace_in_dispatcher(g, skel, state, why);
	else
		err = replace_single(g, skel, state, why);
	host_bpf__destroy(skel);
	return err;
}

/* Unpinning alone would detach too, but later: the kernel waits before it frees an inode. */
static int detach_link(const struct guard *g, struct why *why)
{
	int fd = pins_open(g, GUARD_XDP_LINK), err = 0;

	if (fd < 0)
		return why_is(why, fd, "cannot open the XDP link's pin: %s", strerror(-fd));
	if (bpf_link_detach(fd))
		err = why_is(why, -errno, "cannot detach the XDP link: %s", strerror(errno));
	close(fd);
	return err ? err : pins_drop(g, GUARD_XDP_LINK);
}

static int detach_single(const struct guard *g, const struct xdp_state *state, struct why *why)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = xdp_open_ours(state));
	int err;

	if (opts.old_prog_fd < 0)
		return why_is(why, opts.old_prog_fd, "cannot open the running XDP program: %s",
			      strerror(-opts.old_prog_fd));
	err = bpf_xdp_detach(g->ifindex, mode_flag(state->mode), &opts);
	close(opts.old_prog_fd);
	return err ? why_is(why, err, "cannot detach the XDP program: %s", strerror(-err)) : 0;
}

int xdp_detach(const struct guard *g, const struct xdp_state *state, struct why *why)
{
	int err = 0, i;

	if (!state->ours_count)
		return 0;
	if (guard_has(g, GUARD_XDP_LINK))
		return detach_link(g, why);
	if (!state->dispatcher)
		return detach_single(g, state, why);
	for (i = 0; !err && i < state->ours_count; i++)
		err = leave_dispatcher(g, state->ours[i], state->mode, why);
	return err;
}
