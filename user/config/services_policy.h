/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Within services_apply.c, without maps and clock; nobody else's. */
#ifndef SYNWARD_SERVICES_POLICY_H
#define SYNWARD_SERVICES_POLICY_H

#include "services.h"

/*
 * *p is what is to follow *old. Returns the slots of p whose service was not there before: what
 * they count is another's.
 */
__u64 services_policy(const struct services *s, const struct sw_policy *old, __u64 now_ns,
		      struct sw_policy *p, int list_of_slot[SW_SERVICES]);

/* The slots whose path is the daemon's choice. */
__u64 services_policy_auto(const struct sw_policy *p);

#endif
