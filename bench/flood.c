// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * flood: sends forged TCP segments out of a veth, as many as one core makes or at a
 * given rate. For tests and measurements in network namespaces of one's own.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <bpf/libbpf.h>

#include "frame.h"
#include "link.h"
#include "run.h"
#include "settings.h"
#include "bench/flood.skel.h"

/* One line, and its exit status. */
__attribute__((format(printf, 1, 2))) static int fail(const char *format, ...)
{
	va_list args;

	fputs("flood: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

static int prepare_link(struct settings *s)
{
	struct link_info link;
	int r;

	s->ifindex = if_nametoindex(s->interface);
	if (!s->ifindex)
		return fail("no interface %s in this network namespace", s->interface);
	r = link_read(s->ifindex, &link);
	if (r)
		return fail("cannot read interface %s: %s", s->interface, strerror(-r));
	if (!link.veth)
		return fail("%s is not a veth: floods leave by nothing else", s->interface);
	if (!link.up)
		return fail("interface %s is down", s->interface);
	s->spec.src_mac = link.mac;
	if (s->have_mac)
		return 0;
	r = link_next_hop_mac(s->ifindex, s->family, &s->spec.to, &s->spec.dst_mac);
	if (r)
		return fail("no MAC address found for the next hop (%s): give --dst-mac",
			    strerror(-r));
	return 0;
}

static void prefix_to_words(const struct prefix *p, uint64_t address[2], uint64_t mask[2])
{
	uint8_t byte[16] = {}, *from = (uint8_t *)&p->address, kept[16] = {};
	size_t bytes = p->family == AF_INET ? 4 : 16;

	for (size_t i = 0; i < bytes; i++) {
		unsigned int fixed = p->length > i * 8 ? p->length - i * 8 : 0;

		byte[i] = fixed >= 8 ? 0 : 0xff >> fixed;
		kept[i] = from[i] & ~byte[i];
	}
	memcpy(mask, byte, sizeof(byte));
	memcpy(address, kept, sizeof(kept));
}

static void fill_rodata(const struct settings *s, struct flood_bpf *skel)
{
	struct prefix sources = s->sources;

	if (sources.all && s->family == AF_INET6) { /* global unicast: 2000::/3 */
		sources = (struct prefix){.family = AF_INET6, .length = 3};
		inet_pton(AF_INET6, "2000::", &sources.address);
	}
	prefix_to_words(&sources, (uint64_t *)skel->rodata->source,
			(uint64_t *)skel->rodata->source_mask);
	for (unsigned int i = 0; i < s->kind_count; i++) {
		struct flood_frame *f = (struct flood_frame *)&skel->rodata->frames[i];

		frame_build(&s->spec, s->kinds[i], f);
		if (f->length > skel->rodata->frame_room)
			skel->rodata->frame_room = f->length;
	}
	skel->rodata->frame_count = s->kind_count;
	skel->rodata->ifindex = s->ifindex;
	skel->rodata->l3_at = frame_l3_at(&s->spec);
	skel->rodata->l4_at = frame_l4_at(&s->spec);
	skel->rodata->v6 = s->spec.v6;
	skel->rodata->any_port = !s->spec.port;
	skel->rodata->sport = s->spec.sport;
	skel->rodata->any_unicast = sources.all;
	if (s->limits.even)
		skel->rodata->interval_ns = 1000000000 / s->limits.rate_pps;
	skel->rodata->partial = s->spec.checksum == CHECKSUM_TO_NIC;
}

static void print_result(const struct settings *s, uint64_t sent, double seconds,
			 const struct link_info *before, const struct link_info *after)
{
	uint64_t taken = after->tx_packets - before->tx_packets,
		 dropped = after->tx_dropped - before->tx_dropped;
	double pps = seconds > 0 ? sent / seconds : 0;

	if (s->json) {
		printf("{\"packets\":%" PRIu64 ",\"seconds\":%.3f,\"pps\":%.0f,\"taken\":%" PRIu64
		       ",\"dropped\":%" PRIu64 "}\n",
		       sent, seconds, pps, taken, dropped);
		return;
	}
	printf("%" PRIu64 " packets in %.3f s, %.0f packets/s; the peer took %" PRIu64
	       ", its ring was full for %" PRIu64 "\n",
	       sent, seconds, pps, taken, dropped);
}

static int flood(struct settings *s)
{
	struct link_info before = {}, after = {};
	struct flood_bpf *skel = flood_bpf__open();
	double seconds = 0;
	uint64_t sent;
	int r;

	if (!skel)
		return fail("cannot open the BPF object: %s", strerror(errno));
	fill_rodata(s, skel);
	r = flood_bpf__load(skel);
	if (r) {
		flood_bpf__destroy(skel);
		return fail("cannot load the BPF program: %s%s", strerror(-r),
			    r == -EPERM ? " (are you root?)" : "");
	}
	(void)link_read(s->ifindex, &before);
	if (getrandom(&skel->bss->random_state, sizeof(skel->bss->random_state), 0) < 0)
		skel->bss->random_state = time(NULL);
	r = run_flood(bpf_program__fd(skel->progs.flood), skel->rodata->frame_room,
		      &skel->bss->sent, &s->limits, &seconds);
	(void)link_read(s->ifindex, &after);
	sent = skel->bss->sent;
	flood_bpf__destroy(skel);
	if (r)
		return fail("the flood could not run: %s", strerror(-r));
	print_result(s, sent, seconds, &before, &after);
	if (sent && after.tx_packets == before.tx_packets && after.tx_dropped == before.tx_dropped)
		return fail("no packet left %s: its peer needs an XDP program or GRO (veth-peer "
			    "PEER on)",
			    s->interface);
	return EXIT_SUCCESS;
}

static int pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

int main(int argc, char **argv)
{
	struct settings s = {
		.spec = {.port = 80, .options = tcp_options},
		.kinds = {frame_kinds},
		.kind_count = 1,
		.cpu = -1,
		.limits = {.seconds = 10},
	};
	int r;

	settings_parse(&s, argc, argv);
	libbpf_set_print(NULL);
	r = s.cpu >= 0 ? pin_to_cpu(s.cpu) : 0;
	if (r)
		return fail("cannot run on CPU %d: %s", s.cpu, strerror(-r));
	r = prepare_link(&s);
	return r ?: flood(&s);
}
