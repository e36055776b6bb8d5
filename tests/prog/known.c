// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Tuples the kernel knows are the kernel's; all others earn their reason. */
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <sys/socket.h>

#include "guard.h"

TestSuite(known, .init = guard_up, .timeout = 20);

static struct frame segment_of(const struct connection *c, __u8 flags)
{
	struct segment s = c->segment;

	s.flags = flags;
	return frame_of(&s);
}

static void close_with_reset(int fd)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static void assert_is_the_kernels(const struct connection *c)
{
	ASSERT_VERDICT(segment_of(c, ACK), SW_KNOWN);
	ASSERT_VERDICT(segment_of(c, ACK | PSH), SW_KNOWN);
	ASSERT_VERDICT(segment_of(c, ACK | FIN), SW_KNOWN);
	ASSERT_VERDICT(segment_of(c, SYN), SW_SYN_KNOWN);
	ASSERT_VERDICT(segment_of(c, SYN | ECE | CWR), SW_SYN_KNOWN);
	ASSERT_VERDICT(segment_of(c, RST), SW_KNOWN);
	ASSERT_VERDICT(segment_of(c, RST | ACK), SW_KNOWN);
	ASSERT_VERDICT(segment_of(c, SYN | ACK), SW_KNOWN);
	ASSERT_VERDICT(segment_of(c, SYN | FIN), SW_FLAGS_INVALID);
	ASSERT_VERDICT(segment_of(c, 0), SW_FLAGS_INVALID);
}

static void assert_is_nobodys(const struct segment *like)
{
	struct segment s = *like;

#define VERDICT(flags_, reason) (s.flags = (flags_), ASSERT_VERDICT(frame_of(&s), reason))
	VERDICT(ACK, SW_ACK_INVALID);
	VERDICT(ACK | PSH, SW_ACK_INVALID);
	VERDICT(ACK | FIN, SW_ACK_INVALID);
	VERDICT(RST, SW_RST_UNKNOWN);
	VERDICT(RST | ACK, SW_RST_UNKNOWN);
	VERDICT(SYN | ACK, SW_SYNACK_UNSOLICITED);
#undef VERDICT
}

Test(known, connections_from_before_the_start_are_left_to_the_kernel)
{
	struct connection c, c6;

	connect_to(&c, guard.listener, false, 7001);
	connect_to(&c6, guard.listener6, true, 7002);
	guard_start();
	assert_is_the_kernels(&c);
	assert_is_the_kernels(&c6);
}

Test(known, tuples_are_whole_ones)
{
	struct connection c;
	struct segment s;

	connect_to(&c, guard.listener, false, 7001);
	guard_start();
	s = c.segment;
	s.sport++;
	assert_is_nobodys(&s);
	s = c.segment;
	s.from = "192.0.2.3";
	assert_is_nobodys(&s);
	s = c.segment;
	s.v6 = true;
	assert_is_nobodys(&s);
}

Test(known, segments_to_no_connection_are_refused_by_name)
{
	assert_is_nobodys(&(struct segment){ .ack = 1, .sport = 7003 });
	assert_is_nobodys(&(struct segment){ .ack = 1, .sport = 7003, .v6 = true });
}

Test(known, ipv4_connections_of_a_dual_stack_listener_count_too)
{
	int off = 0, fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(8081) };
	struct connection c;

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	cr_assert_eq(bind(fd, (void *)&any, sizeof(any)), 0);
	cr_assert_eq(listen(fd, 8), 0);
	connect_to(&c, fd, false, 7004);
	guard_start();
	assert_is_the_kernels(&c);
}

Test(known, time_wait_is_the_kernels)
{
	struct connection c;

	connect_to(&c, guard.listener, false, 7005);
	close(c.server); /* we close first, TIME-WAIT is ours */
	wait_ms(50);
	close(c.client);
	wait_ms(50);
	guard_start();
	ASSERT_VERDICT(segment_of(&c, SYN), SW_SYN_KNOWN);
	ASSERT_VERDICT(segment_of(&c, ACK), SW_KNOWN);
	ASSERT_VERDICT(segment_of(&c, RST), SW_KNOWN);
}

Test(known, requests_half_open_in_the_kernel_are_its_own)
{
	struct frame syn = FRAME(.from = "192.0.2.99", .flags = SYN, .options = LINUX_OPTIONS(1460));
	int packets = client_packet_socket();

	on_server("ip neigh add 192.0.2.99 lladdr 02:00:00:00:00:63 dev v0");
	cr_assert_eq(write(packets, syn.byte, syn.length), (ssize_t)syn.length);
	wait_ms(50);
	guard_start();
	ASSERT_VERDICT(syn, SW_SYN_KNOWN);
	ASSERT_VERDICT(FRAME(.from = "192.0.2.99", .flags = ACK, .ack = 1), SW_KNOWN);
	ASSERT_VERDICT(FRAME(.from = "192.0.2.99", .flags = RST), SW_KNOWN);
}

Test(known, sockets_of_another_namespace_are_not_ours)
{
	int listener, client;
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_port = htons(7006) };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(SERVER_PORT) };

	inet_pton(AF_INET, CLIENT, &from.sin_addr);
	inet_pton(AF_INET, SERVER, &to.sin_addr);
	enter_new_namespace();
	on_server("ip addr add " CLIENT "/32 dev lo && ip addr add " SERVER "/32 dev lo");
	listener = listen_on(AF_INET, SERVER_PORT, 8);
	client = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(bind(client, (void *)&from, sizeof(from)), 0);
	cr_assert_eq(connect(client, (void *)&to, sizeof(to)), 0);
	cr_assert_geq(accept(listener, NULL, NULL), 0);
	return_to_server();
	guard_start();
	assert_is_nobodys(&(struct segment){ .sport = 7006, .ack = 1 });
}

Test(known, a_flood_from_nowhere_costs_no_socket_lookup)
{
	struct connection c;
	__u64 before;

	connect_to(&c, guard.listener, false, 7007);
	guard_start();
	before = guard_events(SW_EV_SOCKET_LOOKUP);
	for (__u16 i = 0; i < 2000; i++)
		ASSERT_VERDICT(FRAME(.flags = SYN, .sport = (__u16)(10000 + i), .options = LINUX_OPTIONS(1460)),
			       SW_SYNACK_SENT);
	cr_assert_eq(guard_events(SW_EV_SOCKET_LOOKUP), before);
	ASSERT_VERDICT(segment_of(&c, ACK), SW_KNOWN);
	cr_assert_eq(guard_events(SW_EV_SOCKET_LOOKUP), before, "established traffic pays none either");
	ASSERT_VERDICT(segment_of(&c, SYN), SW_SYN_KNOWN);
	cr_assert_eq(guard_events(SW_EV_SOCKET_LOOKUP), before + 1);
}

/* 1,000 a second may be looked up, for connections that moved here from another interface. */
Test(known, a_flood_of_acks_costs_no_more_lookups_than_its_budget)
{
	guard_start();
	for (__u32 i = 0; i < 20000; i++)
		ASSERT_VERDICT(FRAME(.flags = ACK, .ack = i, .sport = (__u16)(10000 + i)), SW_ACK_INVALID);
	cr_assert_geq(guard_events(SW_EV_SOCKET_LOOKUP), 1000);
	cr_assert_lt(guard_events(SW_EV_SOCKET_LOOKUP), 10000);
}

Test(known, tuple_used_again_after_its_connection_was_reset_gets_a_cookie_that_must_come_back)
{
	struct connection c;
	struct handshake h;
	struct segment s;

	connect_to(&c, guard.listener, false, 7008);
	guard_start();
	close_with_reset(c.client);
	wait_ms(50);
	close(c.server);
	/* Until the filter is rebuilt it says "maybe": the lookup says no. */
	s = c.segment;
	s.flags = SYN;
	s.options = LINUX_OPTIONS(1460);
	shake_hands(&h, &s);
	s = h.ack;
	s.ack ^= 0x8000;
	ASSERT_VERDICT(frame_of(&s), SW_ACK_INVALID);
	ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_VALID);
}

Test(known, segments_right_behind_a_valid_ack_pass)
{
	static const __u8 data[100];
	struct handshake h;
	struct segment s;

	SHAKE_HANDS(&h, .options = LINUX_OPTIONS(1460));
	ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_VALID);
	for (__u32 i = 0; i < 10; i++) {
		s = h.ack;
		s.flags = ACK | PSH;
		s.seq += i * 100;
		s.data = (struct bytes){ data, 100 };
		ASSERT_VERDICT(frame_of(&s), SW_ACK_BEHIND_VALID);
	}
	s.flags = ACK | FIN;
	ASSERT_VERDICT(frame_of(&s), SW_ACK_BEHIND_VALID);
	s.flags = SYN;
	ASSERT_VERDICT(frame_of(&s), SW_SYN_KNOWN);
}

Test(known, reset_right_behind_a_valid_ack_reaches_the_kernel)
{
	struct handshake h;
	struct segment s;

	SHAKE_HANDS(&h, .options = LINUX_OPTIONS(1460));
	ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_VALID);
	s = h.ack;
	s.flags = RST | ACK;
	cr_assert_eq(RUN(frame_of(&s)).action, XDP_PASS);
}

Test(known, handed_tuple_without_a_socket_needs_its_cookie_again)
{
	struct handshake h;
	struct segment s;

	SHAKE_HANDS(&h, .options = LINUX_OPTIONS(1460));
	ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_VALID);
	wait_ms(150);
	s = h.ack;
	s.seq += 100;
	ASSERT_VERDICT(frame_of(&s), SW_ACK_INVALID);
	ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_VALID);
}

Test(known, handed_tuple_is_like_any_other_once_its_socket_is_there)
{
	struct handshake h;
	struct connection c;
	__u64 lookups;

	SHAKE_HANDS(&h, .sport = 7009, .options = LINUX_OPTIONS(1460));
	ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_VALID);
	connect_to(&c, guard.listener, false, 7009); /* what tc ingress would have made */
	wait_ms(150);
	lookups = guard_events(SW_EV_SOCKET_LOOKUP);
	ASSERT_VERDICT(segment_of(&c, ACK), SW_KNOWN);
	cr_assert_eq(guard_events(SW_EV_SOCKET_LOOKUP), lookups + 1);
	ASSERT_VERDICT(segment_of(&c, ACK), SW_KNOWN);
	cr_assert_eq(guard_events(SW_EV_SOCKET_LOOKUP), lookups + 1, "asked once only");
	assert_is_the_kernels(&c);
}

Test(known, connection_we_opened_ourselves_from_a_guarded_port_is_not_cut)
{
	/* The listener's port as source: SO_REUSEADDR on both, as FTP servers and clusters do. */
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_port = htons(8083) };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9000) };
	int on = 1, listener, ours = socket(AF_INET, SOCK_STREAM, 0), theirs;
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(8083) };

	inet_pton(AF_INET, SERVER, &from.sin_addr);
	inet_pton(AF_INET, CLIENT, &to.sin_addr);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	cr_assert_eq(bind(listener, (void *)&any, sizeof(any)), 0);
	cr_assert_eq(listen(listener, 8), 0);
	theirs = client_socket(AF_INET, SOCK_STREAM, 0);
	any.sin_port = htons(9000);
	cr_assert_eq(bind(theirs, (void *)&any, sizeof(any)), 0);
	cr_assert_eq(listen(theirs, 8), 0);
	setsockopt(ours, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	cr_assert_eq(bind(ours, (void *)&from, sizeof(from)), 0);
	cr_assert_eq(connect(ours, (void *)&to, sizeof(to)), 0);

	ASSERT_VERDICT(FRAME(.sport = 9000, .dport = 8083, .flags = SYN | ACK, .ack = 1), SW_KNOWN);
	ASSERT_VERDICT(FRAME(.sport = 9000, .dport = 8083, .flags = ACK | PSH, .ack = 1), SW_KNOWN);
}

Test(known, connections_made_while_unguarded_are_kept_when_the_start_is_run_again)
{
	struct connection c;

	memset(guard.config.port, 0, sizeof(guard.config.port));
	guard_configure();
	connect_to(&c, guard.listener, false, 7010);
	ASSERT_VERDICT(segment_of(&c, ACK), SW_NOT_GUARDED);
	guard_start();
	memset(guard.config.port, 0xff, sizeof(guard.config.port));
	guard_configure();
	assert_is_the_kernels(&c);
}

Test(known, hundred_connections_are_all_found)
{
	static struct connection c[100];

	for (__u16 i = 0; i < 100; i++)
		connect_to(&c[i], i & 1 ? guard.listener6 : guard.listener, i & 1, (__u16)(7100 + i));
	guard_start();
	for (int i = 0; i < 100; i++) {
		ASSERT_VERDICT(segment_of(&c[i], ACK), SW_KNOWN);
		ASSERT_VERDICT(segment_of(&c[i], SYN), SW_SYN_KNOWN);
	}
}

/*
 * Slow on purpose: nothing but time rebuilds the filter, about 27 s a walk. Closed
 * tuples leave it, established ones stay, those handed over meanwhile too.
 */
Test(known, filter_forgets_closed_connections_and_keeps_the_rest, .timeout = 80)
{
	struct connection stays, stays6, ends, later;
	struct handshake h;
	int waited;

	connect_to(&stays, guard.listener, false, 7200);
	connect_to(&stays6, guard.listener6, true, 7201);
	connect_to(&ends, guard.listener, false, 7202);
	guard_spoil_spare_filter();
	guard_start();
	cr_assert_eq(guard_events(SW_EV_WALK_DONE), 0);
	close_with_reset(ends.client);
	wait_ms(50);
	close(ends.server);
	connect_to(&later, guard.listener, false, 7203);
	ASSERT_VERDICT(segment_of(&ends, ACK), SW_KNOWN); /* may be, says the filter */
	ASSERT_VERDICT(segment_of(&later, ACK), SW_KNOWN); /* not through XDP: a lookup within its budget */
	wait_ms(5000);
	SHAKE_HANDS(&h, .sport = 7204, .options = LINUX_OPTIONS(1460));
	ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_VALID);
	for (waited = 0; !guard_events(SW_EV_WALK_DONE) && waited < 400; waited++) {
		wait_ms(100);
		ASSERT_VERDICT(segment_of(&stays, ACK), SW_KNOWN);
	}
	cr_assert_eq(guard_events(SW_EV_WALK_DONE), 1);
	cr_assert_eq(guard_events(SW_EV_WALK_ABANDONED), 0);
	assert_is_the_kernels(&stays);
	assert_is_the_kernels(&stays6);
	assert_is_the_kernels(&later);
	assert_is_nobodys(&ends.segment);
	/* Handed over during the walk: marked in both, its word says a socket is due. */
	ASSERT_VERDICT(frame_of(&h.ack), SW_ACK_VALID);
}

/* Somebody floods on a connection of his own: 50,000 a second and CPU are looked up. */
Test(known, a_flood_of_syns_on_a_known_tuple_reaches_the_kernel_within_a_budget)
{
	const __u64 budget = 50000, sent = 70000;
	struct connection c;
	struct frame syn;

	connect_to(&c, guard.listener, false, 7031);
	guard_start();
	syn = segment_of(&c, SYN);
	guard_repeat(&syn, (int)sent);
	cr_assert_eq(guard_verdicts(SW_SYN_KNOWN), budget, "%llu", guard_verdicts(SW_SYN_KNOWN));
	cr_assert_eq(guard_verdicts(SW_SYN_OVER_BUDGET), sent - budget);
	ASSERT_VERDICT(segment_of(&c, ACK), SW_KNOWN);
	wait_ms(1100);
	ASSERT_VERDICT(syn, SW_SYN_KNOWN);
}
