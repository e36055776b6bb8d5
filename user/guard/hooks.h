/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What of a guard can be seen only by looking at programs that are there, for which the
 * kernel wants CAP_SYS_ADMIN: whether they are where they were put, and their keys' age.
 */
#ifndef SYNWARD_HOOKS_H
#define SYNWARD_HOOKS_H

#include "keys.h"

struct hooks_state {
	int on; /* 1: XDP and tc programs are there; 0: one is gone; -1: not known */
	bool has_keys;
	struct keys_state keys;
};

/* Who looks: this process, or another for one that may not. */
struct hooks_look {
	void (*look)(void *arg, const struct guard *g, struct hooks_state *ret);
	void *arg;
};

void hooks_look(void *ignored, const struct guard *g, struct hooks_state *ret);

#endif
