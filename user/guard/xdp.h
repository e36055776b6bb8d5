/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The XDP hook of an interface: who is there, and putting our program there. */
#ifndef SYNWARD_XDP_H
#define SYNWARD_XDP_H

#include "guard.h"
#include "host.h"

/* Two while one replaces the other in a dispatcher; killed in between, they stay. */
#define XDP_OURS_MAX 4

struct xdp_state {
	__u32 ours[XDP_OURS_MAX]; /* program ids */
	int ours_count;
	bool dispatcher;       /* libxdp's: several programs can share the hook */
	enum sw_xdp_mode mode; /* of whatever is there */
	__u32 foreign_id;      /* a program that is not ours and shares with nobody; 0: none */
	char foreign_name[BPF_OBJ_NAME_LEN];
};

struct xdp_both_on {
	int (*call)(void *arg);
	void *arg;
};

int xdp_look(const struct guard *g, struct xdp_state *ret, struct why *why);

/* A descriptor of our running program. */
int xdp_open_ours(const struct xdp_state *state);

/* -EOPNOTSUPP: the driver has no native XDP. */
int xdp_attach(const struct guard *g, const struct host *host, enum sw_xdp_mode mode,
	       enum sw_attach_kind kind, struct why *why);

/*
 * Puts host's program in the place of ours that runs; on failure that one goes on running.
 * both_on, if not NULL, is called where for a moment both run, in a dispatcher.
 */
int xdp_replace(const struct guard *g, const struct host *host, const struct xdp_state *state,
		enum sw_attach_kind kind, const struct xdp_both_on *both_on, struct why *why);

int xdp_detach(const struct guard *g, const struct xdp_state *state, struct why *why);

const char *xdp_mode_name(enum sw_xdp_mode mode);
const char *xdp_kind_name(enum sw_attach_kind kind);

#endif
