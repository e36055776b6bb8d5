/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Putting a guard on, renewing it, taking it off. The caller holds pins_lock(). */
#ifndef SYNWARD_INSTALL_H
#define SYNWARD_INSTALL_H

#include "guard.h"
#include "keyfile.h"
#include "ports.h"
#include "services.h"
#include "targets.h"
#include "xdp.h"

struct plan {
	struct ports ports;
	const struct services *services; /* none in it: the default; NULL: a guard that runs keeps its own */
	bool ports_auto;
	enum sw_xdp_mode mode;
	enum sw_attach_kind kind;
	enum sw_path path;
	const struct targets *targets; /* proxy path */
	bool hands_over; /* proxy path: to listeners of this machine's own, where their service allows it */
	unsigned int forward; /* ifindex of the --forward interface; 0: none */
	bool beside_nat; /* the host path was asked for by name: NAT does not end it */
	bool keep_syncookies; /* net.ipv4.tcp_syncookies is not ours to set */
	const struct keyfile_secret *shared; /* NULL: keys of this machine's own */
	struct host_maps *keep; /* if not NULL: gets descriptors of the guard's maps, to be closed */
};

/* Everything or nothing: what a failure leaves is what was there before. */
int install_fresh(const struct guard *g, const struct plan *plan, struct sw_info *ret_info,
		  struct why *why);

/* The same over the guard that runs, without a gap; plan's mode and kind are the running ones. */
int install_renew(const struct guard *g, const struct plan *plan, const struct xdp_state *running,
		  struct sw_info *ret_info, struct why *why);

/*
 * The same for a guard that runs on another path: in its place, with its keys, services and
 * counters. plan's path is the proxy path, the only one that can go on with connections of
 * others: they have no flow, and need none.
 */
int install_change(const struct guard *g, const struct plan *plan, const struct xdp_state *running,
		   struct sw_info *ret_info, struct why *why);

/* Takes off what is there, be it half a guard: XDP first. */
int install_remove(const struct guard *g, struct why *why);

/* Removes what interfaces left behind that exist no more, of any namespace. */
void install_sweep(void);

#endif
