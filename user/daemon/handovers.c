// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "counters.h"
#include "handovers.h"
#include "netstat.h"

#define LOST_LEAST 4 /* a few: one may be a listener that was closed, or a client */
#define BAD_LOOKS 2

/* In this order: what comes between the two counts as opened. */
static int look(const struct host_maps *maps, struct handovers *ret)
{
	struct sw_counters c;
	__u64 opened, dropped;
	int err = counters_read(host_maps_fd(maps, "counters"), &c);

	if (!err)
		err = netstat_read("snmp", "Tcp", "PassiveOpens", &opened);
	if (!err)
		err = netstat_read("netstat", "TcpExt", "ListenDrops", &dropped);
	if (err)
		return err;
	ret->validated = c.verdict[SW_ACK_VALID] - c.event[SW_EV_HANDOFF_KNOWN];
	ret->opened = opened + dropped;
	return 0;
}

bool handovers_are_lost(struct handovers *h, const struct host_maps *maps)
{
	struct handovers now = {.begun = true};
	__u64 validated, opened, lost;

	if (look(maps, &now)) {
		*h = (struct handovers){};
		return false;
	}
	validated = now.validated - h->validated;
	opened = now.opened - h->opened;
	lost = validated > opened ? validated - opened : 0;
	if (h->begun && lost >= LOST_LEAST && lost * 4 >= validated * 3)
		now.bad = h->bad + 1;
	*h = now;
	return now.bad >= BAD_LOOKS;
}
