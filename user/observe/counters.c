// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "counters.h"
#include "pins.h"

/*
 * Verdicts that only a SYN can get. SYNs to ports that are not guarded are not among
 * them: those stand in not_guarded with all else there.
 */
static const enum sw_reason syn_verdicts[] = {
	SW_SYN_KNOWN,       SW_SYN_TO_KERNEL,     SW_SYNACK_SENT,
	SW_HEADER_INVALID,  SW_CHECKSUM_INVALID,  SW_SYN_FRAGMENT,
	SW_ADDRESS_INVALID, SW_ACCEPT_QUEUE_FULL, SW_SYN_OVER_BUDGET,
	SW_SYN_IDLE,        SW_SYN_ALLOWED,       SW_SYN_MONITORED,
	SW_SYN_DENIED,      SW_SYNACK_LIMIT,
};

static __u64 sum_syns(const struct sw_counters *c)
{
	__u64 sum = 0;
	size_t i;

	for (i = 0; i < sizeof(syn_verdicts) / sizeof(*syn_verdicts); i++)
		sum += c->verdict[syn_verdicts[i]];
	return sum;
}

static __u64 sum_action(const struct sw_counters *c, enum sw_action action)
{
	__u64 sum = 0;
	int i;

	for (i = 0; i < SW_REASON_COUNT; i++) {
		if (names_verdict[i].action == action)
			sum += c->verdict[i];
	}
	return sum;
}

__u64 counters_sum(const struct sw_counters *c, enum names_column_id column)
{
	switch (column) {
	case COLUMN_SYNS:
		return sum_syns(c);
	case COLUMN_SYNACKS:
		return c->verdict[SW_SYNACK_SENT];
	case COLUMN_VALID:
		return c->verdict[SW_ACK_VALID] + c->verdict[SW_FLOW_OPENED];
	case COLUMN_INVALID:
		return c->verdict[SW_ACK_INVALID];
	case COLUMN_HANDED:
		return c->event[SW_EV_HANDOFF_DONE] + c->event[SW_EV_FLOW_ANSWERED];
	case COLUMN_PASSED:
		return sum_action(c, SW_ACTION_PASS);
	case COLUMN_DROPPED:
		return sum_action(c, SW_ACTION_DROP);
	case COLUMN_FRAMES:
		return sum_action(c, SW_ACTION_PASS) + sum_action(c, SW_ACTION_TX) +
		       sum_action(c, SW_ACTION_DROP);
	case NAMES_COLUMNS:
		break;
	}
	return 0;
}

static int check_shape(int fd, struct why *why)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		return why_is(why, -errno, "cannot ask about its counters: %s", strerror(errno));
	if (info.value_size != sizeof(struct sw_counters) || info.max_entries != SW_COUNTERS)
		return why_is(why, -EPROTO,
			      "guarded by another version of synward; attach again with this one");
	return 0;
}

int counters_open(const struct guard *g, struct why *why)
{
	int fd = pins_open_readonly(g, "counters"), err;

	if (fd == -ENOENT)
		return why_is(why, fd, "is not guarded; 'synward attach %s' does that", g->ifname);
	if (fd == -EACCES)
		return why_is(why, fd,
			      "may not look into " GUARD_ROOT "; run as root, or let all "
			      "look: chmod 755 " GUARD_BPFFS);
	if (fd < 0)
		return why_is(why, fd, "cannot open its counters: %s", strerror(-fd));
	err = check_shape(fd, why);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static void add(struct sw_counters *sum, const struct sw_counters *cpu)
{
	int i;

	for (i = 0; i < SW_REASON_COUNT; i++)
		sum->verdict[i] += cpu->verdict[i];
	for (i = 0; i < SW_EVENT_COUNT; i++)
		sum->event[i] += cpu->event[i];
}

/* Adds up a per-CPU entry over all CPUs, onto *sum. */
static int add_entry(int fd, __u32 entry, struct sw_counters *sum)
{
	int cpus = libbpf_num_possible_cpus(), i, err = 0;
	struct sw_counters *each;

	if (cpus < 1)
		return cpus ?: -EINVAL;
	each = calloc(cpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &entry, each))
		err = -errno;
	for (i = 0; !err && i < cpus; i++)
		add(sum, &each[i]);
	free(each);
	return err;
}

int counters_read_entry(int fd, __u32 entry, struct sw_counters *ret)
{
	struct sw_counters sum = {};
	int err = add_entry(fd, entry, &sum);

	if (!err)
		*ret = sum;
	return err;
}

int counters_read(int fd, struct sw_counters *ret)
{
	struct sw_counters sum = {};
	__u32 entry;
	int err = 0;

	for (entry = 0; !err && entry < SW_COUNTERS_WOULD; entry++)
		err = add_entry(fd, entry, &sum);
	if (!err)
		*ret = sum;
	return err;
}
