/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SYNWARD_PRIVILEGES_H
#define SYNWARD_PRIVILEGES_H

#include "why.h"

/*
 * Gives up, for good, what the daemon does not need once its helper runs. Left are CAP_BPF
 * (lists are new maps) and CAP_NET_ADMIN (to see the firewall's rules).
 */
int privileges_drop(struct why *why);

#endif
