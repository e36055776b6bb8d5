// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>

#include "privileges.h"

int privileges_drop(struct why *why)
{
	bool bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);

	/* Or uid 0 would have them all again in whatever it executes. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return why_is(why, -errno, "cannot set no_new_privs: %s", strerror(errno));
	capng_clear(CAPNG_SELECT_BOTH);
	capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_BPF, CAP_NET_ADMIN, -1);
	if (bounds)
		capng_updatev(CAPNG_ADD, CAPNG_BOUNDING_SET, CAP_BPF, CAP_NET_ADMIN, -1);
	if (capng_apply(bounds ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS))
		return why_is(why, -EPERM, "cannot give up capabilities");
	return 0;
}
