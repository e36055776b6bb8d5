// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What a SYN earns: the SYN-ACK, byte by byte, or the reason why not. */
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include "guard.h"

TestSuite(syn, .init = guard_up, .timeout = 20);

#define LINUX_SYN(...) FRAME(.flags = SYN, .options = LINUX_OPTIONS(1460), ##__VA_ARGS__)

static const __u8 client_mac[6] = { 2, 0, 0, 0, 0, 2 }, server_mac[6] = { 2, 0, 0, 0, 0, 1 };

/* All that holds for each reply, whatever the SYN was. */
static struct seen assert_answers(const struct outcome *o, const struct segment *s)
{
	struct seen r = guard_reply(o);
	struct in6_addr client = address(s->from ?: s->v6 ? CLIENT6 : CLIENT);
	struct in6_addr server = address(s->to ?: s->v6 ? SERVER6 : SERVER);

	cr_assert_arr_eq(r.dest, client_mac, 6);
	cr_assert_arr_eq(r.source, server_mac, 6);
	cr_assert_eq(r.v6, s->v6);
	cr_assert_arr_eq(&r.from, &server, sizeof(server));
	cr_assert_arr_eq(&r.to, &client, sizeof(client));
	cr_assert_eq(r.sport, s->dport ?: SERVER_PORT);
	cr_assert_eq(r.dport, s->sport ?: CLIENT_PORT);
	cr_assert_eq(r.ack, (s->seq ?: CLIENT_ISN) + 1, "ack is ISN+1, data or not");
	cr_assert_eq(r.ttl, 64);
	cr_assert_eq(r.fragment, s->v6 ? 0 : 0x4000, "DF");
	cr_assert_eq(r.ip_length, (s->v6 ? 40 : 20) + 20 + r.options_length);
	cr_assert_eq(r.data_length, 0);
	cr_assert_eq(r.urgent, 0);
	cr_assert_eq(r.window, 65160 > r.window ? r.window : 65160);
	for (__u32 i = 0; i < r.trailer_length; i++)
		cr_assert_eq(r.trailer[i], 0, "padding carries what the SYN left there");
	return r;
}

/* The reply's options, but for the value of our timestamp. */
static void assert_options(const struct seen *r, struct bytes want)
{
	struct seen masked = *r;
	__u32 length;
	__u8 *ts = (__u8 *)seen_option(&masked, 8, &length);

	if (ts)
		memset(ts, 0, 4);
	cr_assert_eq(r->options_length, want.length, "%u bytes of options", r->options_length);
	cr_assert_arr_eq(masked.option, want.at, want.length);
}

/* What our SYN-ACKs say: the scale is the listener's own. */
#define OUR_TS(echo...) 8, 10, 0, 0, 0, 0, echo

static __u8 our_wscale(const struct seen *r)
{
	__u32 length;
	const __u8 *w = seen_option(r, 3, &length);

	return w ? *w : 0;
}

Test(syn, of_linux_is_answered_field_by_field)
{
	struct segment s = { .flags = SYN, .options = LINUX_OPTIONS(1460) };
	struct frame f = frame_of(&s);
	struct outcome o = guard_run(&f);
	struct seen r = assert_answers(&o, &s);

	assert_options(&r, BYTES(OPT_MSS(1460), OPT_SACK, OUR_TS(1, 2, 3, 4), OPT_NOP,
				 OPT_WSCALE(our_wscale(&r))));
	cr_assert_eq(o.frame.length, f.length);
	cr_assert_eq(r.ip_id, 0);
	cr_assert_eq(r.tos, 0);
}

Test(syn, of_ipv6_is_answered_field_by_field)
{
	struct segment s = { .v6 = true, .flags = SYN, .options = LINUX_OPTIONS(1440), .tos = 0xb8 };
	struct frame f = frame_of(&s);
	struct outcome o = guard_run(&f);
	struct seen r = assert_answers(&o, &s);

	assert_options(&r, BYTES(OPT_MSS(1440), OPT_SACK, OUR_TS(1, 2, 3, 4), OPT_NOP,
				 OPT_WSCALE(our_wscale(&r))));
	cr_assert_eq(r.tos, 0);
}

Test(syn, is_answered_in_the_order_of_options_the_kernel_writes)
{
	struct segment windows = { .flags = SYN, .options = WINDOWS_OPTIONS(1460) };
	struct segment macos = { .flags = SYN, .options = MACOS_OPTIONS(1460) };
	struct segment freebsd = { .flags = SYN, .options = FREEBSD_OPTIONS(1460) };
	struct segment bare = { .flags = SYN };
	struct segment ts_only = { .flags = SYN, .options = BYTES(OPT_TS) };
	struct outcome o;
	struct seen r;
	__u8 w;

#define ANSWER(segment)                                                                       \
	({                                                                                    \
		struct frame f_ = frame_of(&(segment));                                       \
		o = guard_run(&f_);                                                           \
		r = assert_answers(&o, &(segment));                                           \
		w = our_wscale(&r);                                                           \
	})
	ANSWER(windows);
	assert_options(&r, BYTES(OPT_MSS(1460), OPT_NOP, OPT_NOP, OPT_SACK, OPT_NOP, OPT_WSCALE(w)));
	ANSWER(macos);
	assert_options(&r, BYTES(OPT_MSS(1460), OPT_SACK, OUR_TS(1, 2, 3, 4), OPT_NOP, OPT_WSCALE(w)));
	ANSWER(freebsd);
	assert_options(&r, BYTES(OPT_MSS(1460), OPT_SACK, OUR_TS(1, 2, 3, 4), OPT_NOP, OPT_WSCALE(w)));
	ANSWER(bare);
	assert_options(&r, BYTES(OPT_MSS(1460)));
	ANSWER(ts_only);
	assert_options(&r, BYTES(OPT_MSS(1460), OPT_NOP, OPT_NOP, OUR_TS(1, 2, 3, 4)));
#undef ANSWER
}

/* The client's kernel connects; what it sent and what it got stand side by side with our answer. */
static void capture(int packets, bool v6, struct frame *ret_syn, struct frame *ret_synack)
{
	int fd = client_socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(SERVER_PORT) };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(SERVER_PORT) };
	struct frame f = { .l3 = 14, .l4 = v6 ? 54 : 34 };
	bool syn = false, synack = false;
	ssize_t length;

	inet_pton(AF_INET6, SERVER6, &to6.sin6_addr);
	inet_pton(AF_INET, SERVER, &to.sin_addr);
	cr_assert_eq(v6 ? connect(fd, (void *)&to6, sizeof(to6)) : connect(fd, (void *)&to, sizeof(to)), 0);
	while (!(syn && synack) && (length = recv(packets, f.byte, sizeof(f.byte), 0)) > 0) {
		struct seen s;

		f.length = (__u32)length;
		s = frame_read(&f);
		if (s.v6 == v6 && (s.flags & ~(ECE | CWR)) == SYN && s.dport == SERVER_PORT)
			*ret_syn = f, syn = true;
		if (s.v6 == v6 && (s.flags & ~ECE) == (SYN | ACK))
			*ret_synack = f, synack = true;
	}
	cr_assert(syn && synack, "no handshake seen");
	close(fd);
}

static void assert_as_the_kernel(int packets, bool v6, const char *when)
{
	static const __u8 zero[4];
	struct frame syn, theirs;
	struct outcome o;
	struct seen r, k;
	__u32 length;
	__u8 *rt, *kt;

	capture(packets, v6, &syn, &theirs);
	guard_configure();
	o = guard_run(&syn);
	r = guard_reply(&o);
	k = frame_read(&theirs);
	cr_assert_eq(o.frame.length, theirs.length, "%s", when);
	cr_assert_eq(r.ip_length, k.ip_length, "%s", when);
	cr_assert_eq(r.ttl, k.ttl, "%s: ttl %u, kernel %u", when, r.ttl, k.ttl);
	cr_assert_eq(r.tos, k.tos, "%s: tos %x, kernel %x", when, r.tos, k.tos);
	cr_assert_eq(r.fragment, k.fragment, "%s: DF %x, kernel %x", when, r.fragment, k.fragment);
	cr_assert_eq(r.ip_id, k.ip_id, "%s: id", when);
	cr_assert_eq(r.flags, k.flags, "%s: flags %x, kernel %x", when, r.flags, k.flags);
	cr_assert_eq(r.ack, k.ack, "%s", when);
	cr_assert_eq(r.window, k.window, "%s: window %u, kernel %u", when, r.window, k.window);
	cr_assert_eq(r.options_length, k.options_length, "%s", when);
	rt = (__u8 *)seen_option(&r, 8, &length);
	kt = (__u8 *)seen_option(&k, 8, &length);
	if (rt && kt)
		memcpy(rt, zero, 4), memcpy(kt, zero, 4);
	cr_assert_arr_eq(r.option, k.option, k.options_length, "%s: options", when);
}

static void set_on_both(int level, int name, int level6, int name6, int value)
{
	cr_assert_eq(setsockopt(guard.listener, level, name, &value, sizeof(value)), 0);
	cr_assert_eq(setsockopt(guard.listener6, level6, name6, &value, sizeof(value)), 0);
}

Test(syn, gets_the_kernels_own_synack)
{
	int packets = client_packet_socket(), value = IP_PMTUDISC_DONT;

#define AS_THE_KERNEL(when)                                   \
	(assert_as_the_kernel(packets, false, when ", IPv4"), \
	 assert_as_the_kernel(packets, true, when ", IPv6"))

	AS_THE_KERNEL("by default");
	set_on_both(SOL_SOCKET, SO_RCVBUF, SOL_SOCKET, SO_RCVBUF, 20000);
	AS_THE_KERNEL("SO_RCVBUF 20000");
	set_on_both(SOL_SOCKET, SO_RCVBUF, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	AS_THE_KERNEL("SO_RCVBUF 1 MiB");
	set_on_both(IPPROTO_TCP, TCP_WINDOW_CLAMP, IPPROTO_TCP, TCP_WINDOW_CLAMP, 30000);
	AS_THE_KERNEL("TCP_WINDOW_CLAMP 30000");
	set_on_both(IPPROTO_TCP, TCP_MAXSEG, IPPROTO_TCP, TCP_MAXSEG, 1300);
	AS_THE_KERNEL("TCP_MAXSEG 1300");
	set_on_both(IPPROTO_IP, IP_TTL, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 99);
	AS_THE_KERNEL("TTL 99");
	set_on_both(IPPROTO_IP, IP_TOS, IPPROTO_IPV6, IPV6_TCLASS, 0x48);
	AS_THE_KERNEL("TOS 0x48");
	setsockopt(guard.listener, IPPROTO_IP, IP_MTU_DISCOVER, &value, sizeof(value));
	assert_as_the_kernel(packets, false, "without path MTU discovery, IPv4");
#undef AS_THE_KERNEL
}

Test(syn, gets_the_kernels_own_synack_under_every_sysctl)
{
	int packets = client_packet_socket();

#define AS_THE_KERNEL(name, value, back)                                    \
	(set_sysctl(name, value),                                           \
	 assert_as_the_kernel(packets, false, name "=" value ", IPv4"),     \
	 assert_as_the_kernel(packets, true, name "=" value ", IPv6"),      \
	 set_sysctl(name, back))

	AS_THE_KERNEL("ipv4/tcp_timestamps", "0", "1");
	AS_THE_KERNEL("ipv4/tcp_sack", "0", "1");
	AS_THE_KERNEL("ipv4/tcp_window_scaling", "0", "1");
	AS_THE_KERNEL("ipv4/ip_default_ttl", "77", "64");
	AS_THE_KERNEL("ipv6/conf/v0/hop_limit", "55", "64");
	AS_THE_KERNEL("ipv6/conf/v0/mtu", "1400", "1500");
	AS_THE_KERNEL("ipv4/tcp_workaround_signed_windows", "1", "0");
	AS_THE_KERNEL("ipv4/ip_no_pmtu_disc", "1", "0");
	on_client("sysctl -qw net.ipv4.tcp_ecn=1");
	AS_THE_KERNEL("ipv4/tcp_ecn", "0", "2");
	AS_THE_KERNEL("ipv4/tcp_ecn", "1", "2");
	AS_THE_KERNEL("ipv4/tcp_ecn", "2", "2");
#undef AS_THE_KERNEL
}

Test(syn, keeps_its_vlan_tags)
{
	struct tag one = { 0x8100, 0x6064 }, outer = { 0x88a8, 0x0005 };
	struct outcome o = ASSERT_VERDICT(LINUX_SYN(.tag = { one }), SW_SYNACK_SENT);
	struct seen r = guard_reply(&o);

	cr_assert_eq(r.tags, 1);
	cr_assert_eq(r.tag[0].tci, 0x6064);

	o = ASSERT_VERDICT(LINUX_SYN(.tag = { outer, one }), SW_SYNACK_SENT);
	r = guard_reply(&o);
	cr_assert_eq(r.tags, 2);
	cr_assert_eq(r.tag[0].proto, 0x88a8);
	cr_assert_eq(r.tag[0].tci, 5);
	cr_assert_eq(r.tag[1].proto, 0x8100);
	cr_assert_eq(r.tag[1].tci, 0x6064);

	o = ASSERT_VERDICT(FRAME(.v6 = true, .flags = SYN, .options = LINUX_OPTIONS(1440),
				 .tag = { outer, one }),
			   SW_SYNACK_SENT);
	r = guard_reply(&o);
	cr_assert_eq(r.tags, 2);
	cr_assert_eq(o.frame.length, 14 + 8 + 40 + 20 + 20);
}

Test(syn, under_three_tags_is_left_alone)
{
	struct frame f = LINUX_SYN(.tag = { { 0x88a8, 1 }, { 0x88a8, 2 } });
	struct frame deeper = frame_resized(&f, f.length + 4);

	memmove(deeper.byte + 16, f.byte + 12, f.length - 12);
	ASSERT_VERDICT(deeper, SW_OTHER_TRAFFIC);
}

Test(syn, with_ipv6_extension_headers_is_answered_without_them)
{
	struct segment s = {
		.v6 = true,
		.flags = SYN,
		.options = LINUX_OPTIONS(1440),
		.extensions = 3,
		.extension = { IPPROTO_HOPOPTS, IPPROTO_DSTOPTS, IPPROTO_ROUTING },
	};

	for (s.extension_length = 0; s.extension_length < 4; s.extension_length++) {
		struct frame f = frame_of(&s);
		struct outcome o = guard_run(&f);

		assert_answers(&o, &s);
		cr_assert_eq(o.frame.length, 14 + 40 + 20 + 20);
	}
}

Test(syn, in_an_atomic_ipv6_fragment_is_answered)
{
	struct segment s = { .v6 = true, .flags = SYN, .extensions = 1, .extension = { IPPROTO_FRAGMENT } };
	struct frame f = frame_of(&s);
	struct outcome o = guard_run(&f);

	assert_answers(&o, &s);
}

Test(syn, in_a_fragment_is_refused_and_later_fragments_pass)
{
	ASSERT_VERDICT(LINUX_SYN(.fragment = 0x2000), SW_SYN_FRAGMENT);
	ASSERT_VERDICT(LINUX_SYN(.fragment = 0x0001), SW_LATER_FRAGMENT);
	ASSERT_VERDICT(LINUX_SYN(.fragment = 0x2001), SW_LATER_FRAGMENT);
	ASSERT_VERDICT(LINUX_SYN(.fragment = 0x4000), SW_SYNACK_SENT); /* DF */
	ASSERT_VERDICT(LINUX_SYN(.sport = 4001, .fragment = 0), SW_SYNACK_SENT);
	ASSERT_VERDICT(FRAME(.v6 = true, .flags = SYN, .extensions = 1,
			     .extension = { IPPROTO_FRAGMENT }, .fragment = 1),
		       SW_SYN_FRAGMENT);
	ASSERT_VERDICT(FRAME(.v6 = true, .flags = SYN, .extensions = 1,
			     .extension = { IPPROTO_FRAGMENT }, .fragment = 8),
		       SW_LATER_FRAGMENT);
}

Test(syn, whose_final_destination_is_elsewhere_is_left_alone)
{
	ASSERT_VERDICT(FRAME(.v6 = true, .flags = SYN, .extensions = 1,
			     .extension = { IPPROTO_ROUTING }, .segments_left = 1),
		       SW_OTHER_TRAFFIC);
}

Test(syn, behind_more_extension_headers_than_are_walked_is_left_alone)
{
	struct segment s = {
		.v6 = true,
		.flags = SYN,
		.extensions = 6,
		.extension = { 60, 60, 60, 60, 60, 60, 60, 60 },
	};
	struct frame f = frame_of(&s);

	ASSERT_VERDICT(f, SW_SYNACK_SENT);
	s.extensions = 7;
	ASSERT_VERDICT(frame_of(&s), SW_OTHER_TRAFFIC);
	s.extensions = 6;
	s.extension_length = 30; /* six times 248 bytes: over 1024 */
	ASSERT_VERDICT(frame_of(&s), SW_OTHER_TRAFFIC);
}

Test(syn, with_data_is_answered_without_acknowledging_it)
{
	static __u8 data[8192];

	for (__u32 i = 0; i < sizeof(data); i++)
		data[i] = (__u8)(i * 7 + 1);
	for (__u32 length = 1; length <= 1400; length++) {
		struct segment s = {
			.flags = SYN,
			.options = LINUX_OPTIONS(1460),
			.data = { data, length },
		};
		struct frame f = frame_of(&s);
		struct outcome o = guard_run(&f);

		assert_answers(&o, &s);
		cr_assert_eq(o.frame.length, 74);
		f.byte[f.length - 1] ^= 0x20;
		ASSERT_VERDICT(f, SW_CHECKSUM_INVALID);
	}
	/* in several buffers of the driver */
	for (__u32 length = 3000; length <= 8000; length += 2501) {
		struct segment s = { .flags = SYN, .data = { data, length } };
		struct frame f = frame_of(&s);
		struct outcome o = guard_run(&f);

		assert_answers(&o, &s);
		cr_assert_eq(o.frame.length, 60);
	}
}

Test(syn, with_one_wrong_byte_anywhere_is_refused)
{
	static const __u8 data[37] = { 'G', 'E', 'T', ' ' };

	for (int v6 = 0; v6 < 2; v6++) {
		struct frame f = FRAME(.v6 = v6, .flags = SYN, .options = LINUX_OPTIONS(1400),
				       .data = { data, sizeof(data) });

		for (__u32 at = f.l3; at < f.length; at++) {
			struct frame wrong = f;
			struct outcome o;

			wrong.byte[at] ^= 0x04;
			o = guard_run(&wrong);
			cr_assert_neq(o.reason, SW_ACK_VALID);
			/* TTL, traffic class and label of IPv6 are under no checksum. */
			if (v6 && (at < f.l3 + 4U || at == f.l3 + 7U))
				continue;
			cr_assert_neq(o.action, XDP_TX, "byte %u of %s", at - f.l3, v6 ? "IPv6" : "IPv4");
		}
	}
}

Test(syn, with_a_wrong_checksum_is_refused)
{
	static const __u8 odd[] = "a SYN's data";

	ASSERT_VERDICT(LINUX_SYN(.tcp_checksum = CHECKSUM_WRONG), SW_CHECKSUM_INVALID);
	ASSERT_VERDICT(LINUX_SYN(.ip_checksum = CHECKSUM_WRONG), SW_CHECKSUM_INVALID);
	ASSERT_VERDICT(LINUX_SYN(.tcp_checksum = CHECKSUM_WRONG, .data = { odd, 11 }), SW_CHECKSUM_INVALID);
	ASSERT_VERDICT(FRAME(.v6 = true, .flags = SYN, .tcp_checksum = CHECKSUM_WRONG), SW_CHECKSUM_INVALID);
}

Test(syn, whose_checksum_a_virtual_wire_left_unfinished_is_answered_with_a_whole_one)
{
	static const __u8 data[1401];

	for (int v6 = 0; v6 < 2; v6++) {
		struct segment s = {
			.v6 = v6,
			.flags = SYN,
			.options = LINUX_OPTIONS(1440),
			.tcp_checksum = CHECKSUM_PARTIAL,
		};
		struct frame f = frame_of(&s);
		struct outcome o = guard_run(&f);

		cr_assert(frame_read(&f).tcp_checksum_partial);
		assert_answers(&o, &s);
		s.data = (struct bytes){ data, sizeof(data) };
		f = frame_of(&s);
		o = guard_run(&f);
		assert_answers(&o, &s);
	}
}

Test(syn, of_a_short_frame_leaves_no_bytes_behind)
{
	struct segment s = { .flags = SYN };

	for (s.pad_to = 0; s.pad_to <= 70; s.pad_to++) {
		struct frame f = frame_of(&s);
		struct outcome o = guard_run(&f);
		struct seen r = assert_answers(&o, &s);

		cr_assert_eq(r.options_length, 4);
		cr_assert_eq(o.frame.length, s.pad_to < 60 ? 58 : 60);
	}
	for (s.options = BYTES(OPT_MSS(1460)), s.pad_to = 58; s.pad_to <= 70; s.pad_to++) {
		struct frame f = frame_of(&s);
		struct outcome o = guard_run(&f);

		assert_answers(&o, &s);
	}
}

Test(syn, earns_no_more_bytes_than_it_brought_and_its_options)
{
	for (int v6 = 0; v6 < 2; v6++) {
		for (__u32 options = 0; options <= 40; options += 4) {
			__u8 all[64] = { OPT_MSS(1440), OPT_SACK, OPT_TS, OPT_NOP, OPT_WSCALE(7) };
			struct frame f;
			struct outcome o;

			memset(all + 20, 1, sizeof(all) - 20);
			f = FRAME(.v6 = v6, .flags = SYN, .options = { all, options });
			o = ASSERT_VERDICT(f, SW_SYNACK_SENT);
			cr_assert_leq(o.frame.length, f.length + 4, "only our MSS may be more");
		}
	}
}

Test(syn, from_an_address_that_cannot_be_answered_is_refused)
{
	static const char *const sources[] = { "0.0.0.0", "0.1.2.3",	     "127.0.0.1", "224.0.0.1",
					       "239.1.1.1", "255.255.255.255", SERVER };
	static const char *const sources6[] = { "::", "::1", "ff02::1", "ff0e::1234", SERVER6 };

	for (unsigned int i = 0; i < sizeof(sources) / sizeof(*sources); i++) {
		struct outcome o = RUN(LINUX_SYN(.from = sources[i]));

		cr_assert_eq(o.reason, SW_ADDRESS_INVALID, "%s: %s", sources[i], reason_name(o.reason));
	}
	for (unsigned int i = 0; i < sizeof(sources6) / sizeof(*sources6); i++) {
		struct outcome o = RUN(LINUX_SYN(.v6 = true, .from = sources6[i]));

		cr_assert_eq(o.reason, SW_ADDRESS_INVALID, "%s: %s", sources6[i], reason_name(o.reason));
	}
}

Test(syn, from_an_ipv4_mapped_source_is_not_answered)
{
	struct outcome o = RUN(LINUX_SYN(.v6 = true, .from = "::ffff:198.51.100.7"));

	cr_assert_neq(o.action, XDP_TX);
}

Test(syn, from_our_other_addresses_or_broadcast_is_not_answered)
{
	struct outcome o;

	on_server("ip addr add 198.51.100.1/24 broadcast + dev v0 && ip addr add 2001:db8::77/64 dev v0 nodad");
	guard_configure();
	wait_ms(1200); /* own addresses are collected each second */
	o = RUN(LINUX_SYN(.from = "198.51.100.1"));
	cr_assert_neq(o.action, XDP_TX, "our own address");
	o = RUN(LINUX_SYN(.v6 = true, .from = "2001:db8::77"));
	cr_assert_neq(o.action, XDP_TX, "our own IPv6 address");
	o = RUN(LINUX_SYN(.from = "198.51.100.255"));
	cr_assert_neq(o.action, XDP_TX, "a subnet's broadcast address");
	o = RUN(LINUX_SYN(.from = "192.0.2.255"));
	cr_assert_neq(o.action, XDP_TX, "a subnet's broadcast address");
	ASSERT_VERDICT(LINUX_SYN(.from = "198.51.100.2"), SW_SYNACK_SENT);
}

Test(syn, from_our_own_address_is_refused_from_the_first_frame)
{
	struct outcome o;

	on_server("ip addr add 198.51.100.1/24 dev v0");
	guard_start();
	guard_configure();
	o = RUN(LINUX_SYN(.from = "198.51.100.1"));
	cr_assert_neq(o.action, XDP_TX);
}

Test(syn, to_an_address_that_is_not_ours_is_left_alone)
{
	static const char *const dests[] = { "192.0.2.3", "224.0.0.1", "192.0.2.255", "255.255.255.255",
					     "0.0.0.0", CLIENT };

	for (unsigned int i = 0; i < sizeof(dests) / sizeof(*dests); i++)
		ASSERT_VERDICT(LINUX_SYN(.from = "192.0.2.9", .to = dests[i]), SW_NOT_GUARDED);
	ASSERT_VERDICT(LINUX_SYN(.v6 = true, .to = "ff02::1"), SW_NOT_GUARDED);
	ASSERT_VERDICT(LINUX_SYN(.v6 = true, .to = "2001:db8::3"), SW_NOT_GUARDED);
}

Test(syn, to_a_new_address_of_ours_is_answered)
{
	ASSERT_VERDICT(LINUX_SYN(.to = "192.0.2.77"), SW_NOT_GUARDED);
	on_server("ip addr add 192.0.2.77/24 dev v0");
	wait_ms(300); /* profiles are read four times a second */
	ASSERT_VERDICT(LINUX_SYN(.to = "192.0.2.77"), SW_SYNACK_SENT);
	on_server("ip addr del 192.0.2.77/24 dev v0");
	wait_ms(300);
	ASSERT_VERDICT(LINUX_SYN(.to = "192.0.2.77"), SW_NOT_GUARDED);
}

static const __u8 everybody[6] = { 255, 255, 255, 255, 255, 255 }, group[6] = { 1, 0, 0x5e, 0, 0, 1 };

Test(syn, in_a_frame_to_a_group_or_to_another_machine_is_not_answered)
{
	static const __u8 other[6] = { 2, 0, 0, 0, 0, 9 };
	struct frame f = LINUX_SYN();

	memcpy(f.byte, everybody, 6);
	cr_assert_neq(RUN(f).action, XDP_TX, "to everybody");
	memcpy(f.byte, group, 6);
	cr_assert_neq(RUN(f).action, XDP_TX, "to a group");
	memcpy(f.byte, other, 6);
	cr_assert_neq(RUN(f).action, XDP_TX, "to another machine");
}

Test(syn, in_a_frame_that_claims_to_come_from_a_group_is_not_answered)
{
	struct frame f = LINUX_SYN();

	memcpy(f.byte + 6, everybody, 6);
	cr_assert_neq(RUN(f).action, XDP_TX, "from everybody");
	memcpy(f.byte + 6, group, 6);
	cr_assert_neq(RUN(f).action, XDP_TX, "from a group");
}

Test(syn, with_ip_options_is_left_to_the_kernel)
{
	ASSERT_VERDICT(LINUX_SYN(.ip_options = BYTES(7, 7, 4, 0, 0, 0, 0, 0)), SW_SYN_TO_KERNEL);
}

Test(syn, to_a_closed_or_unguarded_port_is_left_alone)
{
	ASSERT_VERDICT(LINUX_SYN(.dport = CLOSED_PORT), SW_NOT_GUARDED);
	ASSERT_VERDICT(LINUX_SYN(.v6 = true, .dport = CLOSED_PORT), SW_NOT_GUARDED);
	ASSERT_VERDICT(LINUX_SYN(), SW_SYNACK_SENT);
	guard.config.port[SERVER_PORT / 64] &= ~(1ULL << SERVER_PORT % 64);
	guard_configure();
	ASSERT_VERDICT(LINUX_SYN(), SW_NOT_GUARDED);
	memset(guard.config.port, 0, sizeof(guard.config.port));
	guard.config.port[SERVER_PORT / 64] |= 1ULL << SERVER_PORT % 64;
	guard_configure();
	ASSERT_VERDICT(LINUX_SYN(), SW_SYNACK_SENT);
}

Test(syn, to_each_port_obeys_that_ports_bit)
{
	static const __u16 ports[] = { 1, 63, 64, 127, 128, 1023, 32767, 32768, 65535 };

	for (unsigned int i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
		listen_on(AF_INET, ports[i], 8);
		memset(guard.config.port, 0, sizeof(guard.config.port));
		guard_configure();
		ASSERT_VERDICT(LINUX_SYN(.dport = ports[i]), SW_NOT_GUARDED);
		guard.config.port[ports[i] / 64] = 1ULL << ports[i] % 64;
		guard_configure();
		ASSERT_VERDICT(LINUX_SYN(.dport = ports[i]), SW_SYNACK_SENT);
	}
}

Test(syn, to_a_listener_that_closes_is_left_alone_within_a_second)
{
	ASSERT_VERDICT(LINUX_SYN(), SW_SYNACK_SENT);
	close(guard.listener);
	wait_ms(1000);
	ASSERT_VERDICT(LINUX_SYN(), SW_NOT_GUARDED);
	listen_on(AF_INET, SERVER_PORT, 8);
	wait_ms(1000);
	ASSERT_VERDICT(LINUX_SYN(), SW_SYNACK_SENT);
}

Test(syn, is_left_alone_where_the_kernel_would_refuse_the_hand_over)
{
	int mptcp = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(8080) };

	if (mptcp >= 0) {
		cr_assert_eq(bind(mptcp, (void *)&at, sizeof(at)), 0);
		cr_assert_eq(listen(mptcp, 8), 0);
		ASSERT_VERDICT(LINUX_SYN(.dport = 8080), SW_NOT_GUARDED);
	}
	set_sysctl("ipv4/tcp_syncookies", "0");
	guard_configure();
	ASSERT_VERDICT(LINUX_SYN(), SW_NOT_GUARDED);
}

Test(syn, to_a_dual_stack_listener_is_answered_in_both_families)
{
	int off = 0, fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(8081) };

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	cr_assert_eq(bind(fd, (void *)&any, sizeof(any)), 0);
	cr_assert_eq(listen(fd, 8), 0);
	ASSERT_VERDICT(LINUX_SYN(.dport = 8081), SW_SYNACK_SENT);
	ASSERT_VERDICT(LINUX_SYN(.v6 = true, .dport = 8081), SW_SYNACK_SENT);
}

Test(syn, to_a_full_accept_queue_is_dropped_until_it_drains)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(8082) };
	int fd = listen_on(AF_INET, 8082, 0), client;

	inet_pton(AF_INET, SERVER, &to.sin_addr);
	ASSERT_VERDICT(LINUX_SYN(.dport = 8082), SW_SYNACK_SENT);
	client = client_socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(connect(client, (void *)&to, sizeof(to)), 0);
	wait_ms(300);
	ASSERT_VERDICT(LINUX_SYN(.dport = 8082), SW_ACCEPT_QUEUE_FULL);
	close(accept(fd, NULL, NULL));
	wait_ms(20);
	ASSERT_VERDICT(LINUX_SYN(.dport = 8082), SW_SYNACK_SENT);
}

Test(syn, that_a_cookie_cannot_keep_goes_to_the_kernel_within_a_budget)
{
	__u32 passed = 0;

	for (__u16 i = 0; i < 150; i++) {
		struct frame f = FRAME(.flags = SYN, .options = BYTES(OPT_MSS(100)), .sport = (__u16)(3000 + i));
		struct outcome o = guard_run(&f);

		cr_assert(o.reason == SW_SYN_TO_KERNEL || o.reason == SW_SYN_OVER_BUDGET, "%s",
			  reason_name(o.reason));
		passed += o.reason == SW_SYN_TO_KERNEL;
	}
	cr_assert_eq(passed, 100);
	ASSERT_VERDICT(LINUX_SYN(.sport = 3500), SW_SYNACK_SENT);
	wait_ms(1100);
	ASSERT_VERDICT(FRAME(.flags = SYN, .options = BYTES(OPT_MSS(100)), .sport = 3600), SW_SYN_TO_KERNEL);
	/* The rest of that handshake is the kernel's. */
	ASSERT_VERDICT(FRAME(.flags = ACK, .ack = 1, .sport = 3600), SW_KNOWN);
}

Test(syn, that_is_signed_goes_to_the_kernel_if_the_listener_has_keys)
{
	struct tcp_md5sig md5 = { .tcpm_keylen = 3, .tcpm_key = "bgp" };
	struct sockaddr_in *peer = (void *)&md5.tcpm_addr;
	struct bytes signature = BYTES(19, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0);
	struct bytes ao = BYTES(29, 16, 1, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);

	ASSERT_VERDICT(FRAME(.flags = SYN, .options = signature), SW_SYNACK_SENT);
	peer->sin_family = AF_INET;
	inet_pton(AF_INET, CLIENT, &peer->sin_addr);
	cr_assert_eq(setsockopt(guard.listener, IPPROTO_TCP, TCP_MD5SIG, &md5, sizeof(md5)), 0);
	guard_configure();
	ASSERT_VERDICT(FRAME(.flags = SYN, .options = signature), SW_SYN_TO_KERNEL);
	ASSERT_VERDICT(FRAME(.flags = SYN, .options = ao), SW_SYN_TO_KERNEL);
	ASSERT_VERDICT(LINUX_SYN(.sport = 4002), SW_SYNACK_SENT);
}

Test(syn, gets_a_reply_that_fits_or_none)
{
	/* One byte of padding in a second buffer: such a frame cannot grow on veth. */
	struct segment s = { .flags = SYN, .pad_to = 55 };

	for (int v6 = 0; v6 < 2; v6++) {
		struct frame f;

		s.v6 = v6;
		s.pad_to = v6 ? 75 : 55;
		f = frame_of(&s);
		f.linear = f.length - 1;
		ASSERT_VERDICT(f, SW_NO_ROOM);
	}
}

Test(syn, costs_no_more_than_its_bytes_whatever_lengths_it_claims)
{
	static const __u16 lengths[] = { 0, 1, 19, 20, 39, 40, 61, 1500, 32768, 65535 };
	struct outcome o;

	for (int v6 = 0; v6 < 2; v6++) {
		for (unsigned int i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
			struct frame f = LINUX_SYN(.v6 = v6);

			if (lengths[i] == f.length - f.l3 - (v6 ? 40 : 0))
				continue; /* the truth */
			f.byte[f.l3 + (v6 ? 4 : 2)] = (__u8)(lengths[i] >> 8);
			f.byte[f.l3 + (v6 ? 5 : 3)] = (__u8)lengths[i];
			frame_fix(&f);
			o = guard_run(&f);
			for (int again = 0; again < 5 && o.cost_ns > 20000; again++)
				o = guard_run(&f);
			cr_assert_neq(o.action, XDP_TX, "IP length %u", lengths[i]);
			cr_assert_leq(o.cost_ns, 20000, "IP length %u: %u ns", lengths[i], o.cost_ns);
		}
	}
}

Test(syn, cut_short_anywhere_is_never_answered)
{
	static const __u8 zeros[20];
	struct segment all[] = {
		{ .flags = SYN },
		{ .flags = SYN, .options = LINUX_OPTIONS(1460) },
		{ .flags = SYN, .options = LINUX_OPTIONS(1460), .tcp_checksum = CHECKSUM_PARTIAL },
		{ .flags = SYN, .options = MACOS_OPTIONS(1460), .tag = { { 0x88a8, 1 }, { 0x8100, 2 } } },
		{ .flags = SYN, .data = { zeros, sizeof(zeros) } },
		{ .flags = SYN, .data = { zeros, sizeof(zeros) }, .tcp_checksum = CHECKSUM_PARTIAL },
		{ .v6 = true, .flags = SYN, .options = LINUX_OPTIONS(1460) },
		{ .v6 = true, .flags = SYN, .tcp_checksum = CHECKSUM_PARTIAL },
		{ .v6 = true, .flags = SYN, .extensions = 4, .extension = { 0, 60, 43, 44 } },
	};

	for (unsigned int i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct frame f = frame_of(&all[i]);

		for (__u32 length = 14; length < f.length; length++) {
			struct frame cut = frame_resized(&f, length);

			cr_assert_neq(guard_run(&cut).action, XDP_TX, "frame %u, %u of %u bytes", i, length,
				      f.length);
		}
		ASSERT_VERDICT(f, SW_SYNACK_SENT);
	}
}
