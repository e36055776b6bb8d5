// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "suite/tables.h"
#include "../headers/flow.h"

int table_fill(const char *path)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info), *key = NULL, entries;
	uint64_t *ones = NULL;
	int fd = bpf_obj_get(path), r = fd < 0 ? fd : bpf_obj_get_info_by_fd(fd, &info, &length);

	if (!r) {
		key = calloc(info.max_entries, sizeof(*key));
		ones = malloc(info.max_entries * sizeof(*ones));
		r = key && ones && info.value_size == sizeof(*ones) ? 0 : -EINVAL;
	}
	for (uint32_t i = 0; !r && i < info.max_entries; i++) {
		key[i] = i;
		ones[i] = ~0ULL;
	}
	entries = info.max_entries;
	if (!r)
		r = bpf_map_update_batch(fd, key, ones, &entries, NULL);
	free(key);
	free(ones);
	if (fd >= 0)
		close(fd);
	return r;
}

#define FLOWS_AT_ONCE 65536

/* As after the server's SYN-ACK, with timestamps. */
static struct sw_flow flow_established(void)
{
	struct timespec t = {};
	uint64_t now_ns;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now_ns = t.tv_sec * SW_NS_PER_S + t.tv_nsec;
	return (struct sw_flow){.opened_ns = now_ns,
				.seen_ns = now_ns,
				.seq_delta = 0x12345678,
				.ts_delta = 0x87654321,
				.mss = 1460,
				.client_wscale = 7,
				.told_wscale = 7,
				.server_wscale = 7,
				.flags = SW_FF_TSTAMP | SW_FF_SERVER_TSTAMP | SW_FF_ANSWERED,
				.syns = 1};
}

int table_flows(const char *path, uint32_t clients, const struct sw_tuple *first)
{
	struct sw_tuple *key = calloc(FLOWS_AT_ONCE, sizeof(*key));
	struct sw_flow *flow = calloc(FLOWS_AT_ONCE, sizeof(*flow));
	int fd = bpf_obj_get(path), r = fd < 0 ? fd : key && flow ? 0 : -ENOMEM;
	uint32_t entries;

	for (uint32_t done = 0; !r && done < clients; done += entries) {
		entries = clients - done < FLOWS_AT_ONCE ? clients - done : FLOWS_AT_ONCE;
		for (uint32_t i = 0; i < entries; i++) {
			key[i] = *first;
			key[i].saddr_lo = htonl(ntohl((uint32_t)first->saddr_lo) + done + i);
			flow[i] = flow_established();
		}
		r = bpf_map_update_batch(fd, key, flow, &entries, NULL);
	}
	free(key);
	free(flow);
	if (fd >= 0)
		close(fd);
	return r;
}
