/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A tc hook, of one way only: a tcx link where the kernel has them, else a filter on clsact. */
#ifndef SYNWARD_TC_H
#define SYNWARD_TC_H

#include "guard.h"

enum tc_way { TC_INGRESS, TC_EGRESS };

int tc_attach(const struct guard *g, int prog_fd, enum tc_way way, enum sw_tc_kind *ret_kind,
	      struct why *why);

/*
 * Puts prog_fd in the place of our program, or there anew if somebody took ours away.
 * *ret_old_fd: the program that was there, to go back to it; -1 if there was none.
 */
int tc_replace(const struct guard *g, int prog_fd, enum tc_way way, enum sw_tc_kind *ret_kind,
	       int *ret_old_fd, struct why *why);

/*
 * For a guard that changes to a path whose program looks the other way: prog_fd there too,
 * beside the one that is there, ...
 */
int tc_next_attach(const struct guard *g, int prog_fd, enum tc_way way, enum sw_tc_kind *ret_kind,
		   struct why *why);
/* ... which then goes, way being the guard's own from now on, ... */
int tc_next_keep(const struct guard *g, enum tc_way way, struct why *why);
/* ... or which stays, as it was. */
void tc_next_drop(const struct guard *g, enum tc_way way);

/*
 * The second program of a guard on the proxy path, at ingress: prog_fd, in the place of the one that
 * is there. tcx alone: a kernel that takes the program has it.
 */
int tc_hand_attach(const struct guard *g, int prog_fd, struct why *why);
void tc_hand_detach(const struct guard *g);

/* Takes off whatever is ours, also what a killed process left half done. */
int tc_detach(const struct guard *g, struct why *why);

/* 1 if our programs are on their hooks, 0 if one is gone; *ret_kind says how it is or was attached. */
int tc_look(const struct guard *g, enum sw_tc_kind *ret_kind);

/* True if the interface of the guard, of whatever namespace, is known to exist no more. */
bool tc_proves_dead(const struct guard *g);

const char *tc_kind_name(enum sw_tc_kind kind);

#endif
