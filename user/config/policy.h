/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Whether the services of a configuration can be put in force. */
#ifndef SYNWARD_POLICY_H
#define SYNWARD_POLICY_H

#include "config.h"

/* Refuses what cannot be put in force, before anything is touched. */
int policy_load(const char *path, const struct config *config, struct why *why);

#endif
