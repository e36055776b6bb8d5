/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * net.ipv4.tcp_syncookies for the compat path: the kernel makes its cookies without a
 * full queue, and takes them, only at 2. It is set for the namespace; the guard that is
 * taken off last puts back what was there.
 */
#ifndef SYNWARD_SYNCOOKIES_H
#define SYNWARD_SYNCOOKIES_H

#include "guard.h"

/* What a guard about to be attached has to remember: struct sw_info.syncookies_before. */
int syncookies_before(const struct guard *g, __u32 *ret, struct why *why);

int syncookies_set(struct why *why);

/* For a guard being taken off, its pins still there: puts the old value back if it was the last. */
void syncookies_leave(const struct guard *g);

bool syncookies_are_always(void);

#endif
