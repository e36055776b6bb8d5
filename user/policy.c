// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>

#include "policy.h"

/* To guard on other terms than the file's would be worse than not to. */
int policy_load(const char *path, const struct config *config, struct why *why)
{
	if (!config->services)
		return 0;
	return why_is(why, -EOPNOTSUPP, "%s:%d: [service %s]: this version has no services yet",
		      path, config->service[0].line, config->service[0].name);
}
