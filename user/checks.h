/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What must be right, or should be known, before an interface is guarded. */
#ifndef SYNWARD_CHECKS_H
#define SYNWARD_CHECKS_H

#include "install.h"
#include "say.h"

int checks_privileges(struct why *why);
int checks_before_attach(struct cli *cli, const struct guard *g, struct plan *plan, struct why *why);

#endif
