/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The ways a program gets onto the XDP hook: in libxdp's dispatcher beside others, alone
 * by netlink, or alone by a link. obj: an object of host_open_xdp(), not loaded yet.
 */
#ifndef SYNWARD_XDP_WAYS_H
#define SYNWARD_XDP_WAYS_H

#include "xdp.h"

__u32 xdp_mode_flag(enum sw_xdp_mode mode);

/* For all ways: loads obj, and says why a program was refused. */
int xdp_load(struct bpf_object *obj, struct why *why);
int xdp_refused(struct why *why, int err, enum sw_xdp_mode mode);
/* The same on an empty hook: -EOPNOTSUPP is whatever the driver has against native XDP. */
int xdp_refused_alone(struct why *why, int err, enum sw_xdp_mode mode);

/* Where the kernel has no dispatcher libxdp attaches alone, as xdp_single_attach() does. */
int xdp_libxdp_attach(const struct guard *g, struct bpf_object *obj, enum sw_xdp_mode mode,
		      struct why *why);
int xdp_dispatcher_replace(const struct guard *g, struct bpf_object *obj,
			   const struct xdp_state *state, const struct xdp_both_on *both_on,
			   struct why *why);
int xdp_dispatcher_detach(const struct guard *g, const struct xdp_state *state, struct why *why);

int xdp_single_attach(const struct guard *g, struct bpf_object *obj, enum sw_xdp_mode mode,
		      struct why *why);
int xdp_single_replace(const struct guard *g, struct bpf_object *obj, const struct xdp_state *state,
		       struct why *why);
int xdp_single_detach(const struct guard *g, const struct xdp_state *state, struct why *why);

int xdp_link_attach(const struct guard *g, struct bpf_object *obj, enum sw_xdp_mode mode,
		    struct why *why);
int xdp_link_replace(const struct guard *g, struct bpf_object *obj, const struct xdp_state *state,
		     struct why *why);
int xdp_link_detach(const struct guard *g, struct why *why);

#endif
