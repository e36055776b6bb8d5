// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "counters.h"
#include "handovers.h"
#include "netstat.h"

/* In this order: what comes between the two counts as opened. */
static int look(const struct host_maps *maps, struct handovers_counts *ret)
{
	int fd = host_maps_fd(maps, "counters"), slot, err;
	struct sw_counters c;

	err = counters_read(fd, &c);
	ret->validated = c.verdict[SW_ACK_VALID] - c.event[SW_EV_HANDOFF_KNOWN];
	for (slot = 0; !err && slot < SW_SERVICES; slot++) {
		err = counters_read_entry(fd, SW_COUNTERS_SERVICE + slot, &c);
		ret->service[slot].validated = c.verdict[SW_ACK_VALID];
		ret->service[slot].again = c.event[SW_EV_HANDOFF_LOST];
	}
	if (!err)
		err = netstat_read("snmp", "Tcp", "PassiveOpens", &ret->opened);
	if (!err)
		err = netstat_read("netstat", "TcpExt", "ListenDrops", &ret->dropped);
	return err;
}

struct handovers_found handovers_look(struct handovers *h, const struct host_maps *maps)
{
	struct handovers_counts now;

	if (!look(maps, &now))
		return handovers_judge(h, &now);
	*h = (struct handovers){};
	return (struct handovers_found){};
}
