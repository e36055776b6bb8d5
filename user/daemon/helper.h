/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The daemon's second process: it keeps the privileges that putting a guard on or taking
 * it off needs (CAP_SYS_ADMIN: the kernel's condition for looking at the hooks), so that
 * the one that reads files and answers requests need not have them. It does what the
 * first asks for, one thing at a time, and ends with it.
 */
#ifndef SYNWARD_HELPER_H
#define SYNWARD_HELPER_H

#include <sys/types.h>

#include "hooks.h"
#include "log.h"
#include "setup.h"

struct helper {
	int fd;
	pid_t pid;
};

/* Before privileges are given up and before there are threads. The helper warns through log. */
int helper_start(struct helper *ret, const struct log *log);

/* Waits for its end, which comes by itself once the descriptor is closed. */
void helper_stop(struct helper *helper);

/* setup_check_machine(), setup_guard(), install_remove() and hooks_look(), over there. */
int helper_check_machine(const struct helper *helper, struct why *why);
int helper_guard(const struct helper *helper, const struct setup *s, const struct guard *g,
		 struct setup_result *ret, struct host_maps *keep, struct why *why);
int helper_remove(const struct helper *helper, const struct guard *g, struct why *why);
void helper_look(void *helper, const struct guard *g, struct hooks_state *ret);

#endif
