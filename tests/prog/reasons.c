// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* One frame for each reason: a reason added to reason.def fails here until it has one. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "guard.h"

TestSuite(reasons, .init = guard_up, .timeout = 20);

static struct connection connection;

static struct frame on_connection(__u8 flags)
{
	struct segment s = connection.segment;

	s.flags = flags;
	return frame_of(&s);
}

static struct frame valid_ack(__u16 sport)
{
	struct handshake h;

	SHAKE_HANDS(&h, .options = LINUX_OPTIONS(1460), .sport = sport);
	return frame_of(&h.ack);
}

static struct frame tiny_mss(__u16 sport)
{
	return FRAME(.flags = SYN, .options = BYTES(OPT_MSS(1)), .sport = sport);
}

static struct frame no_room(void)
{
	struct frame f = FRAME(.flags = SYN, .pad_to = 55);

	f.linear = 54;
	return f;
}

static struct frame behind_valid(void)
{
	struct frame f = valid_ack(1500);

	guard_run(&f);
	return f;
}

static struct frame over_budget(void)
{
	for (__u16 i = 0; i < 100; i++)
		RUN(tiny_mss((__u16)(2000 + i)));
	return tiny_mss(1999);
}

static struct frame to_full_queue(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(8082) };
	int client;

	listen_on(AF_INET, 8082, 0);
	client = client_socket(AF_INET, SOCK_STREAM, 0);
	inet_pton(AF_INET, SERVER, &to.sin_addr);
	cr_assert_eq(connect(client, (void *)&to, sizeof(to)), 0);
	return FRAME(.flags = SYN, .dport = 8082);
}

static struct frame not_tcp(void)
{
	struct frame f = FRAME(.flags = SYN);

	f.byte[f.l3 + 9] = IPPROTO_UDP;
	return f;
}

static struct frame cut(void)
{
	struct frame f = FRAME(.flags = SYN);

	return frame_resized(&f, f.length - 1);
}

static struct frame short_header(void)
{
	struct frame f = FRAME(.flags = SYN);

	return frame_with(&f, 12, 4 << 4);
}

static void set_mode(enum sw_mode mode)
{
	guard.policy.service[0].mode = mode;
	guard.policy.service[0].syn_start = 1000000;
	guard_configure();
}

/* From now on: the frames before must not meet it. */
static struct frame in_mode(enum sw_mode mode, struct frame f)
{
	set_mode(mode);
	return f;
}

static struct frame listed(enum sw_listed how, struct frame f)
{
	guard_list(CLIENT, 32, how);
	set_mode(SW_MODE_ALWAYS);
	return f;
}

static struct frame beyond_synack_limit(void)
{
	guard.policy.service[0].synack_limit = 1;
	set_mode(SW_MODE_ALWAYS);
	RUN(FRAME(.flags = SYN, .sport = 1601));
	return FRAME(.flags = SYN, .sport = 1602);
}

static struct frame beyond_handshake_limit(void)
{
	static struct handshake first, second;

	guard.policy.service[0].handshake_limit = 1;
	set_mode(SW_MODE_ALWAYS);
	SHAKE_HANDS(&first, .sport = 1603);
	SHAKE_HANDS(&second, .sport = 1604);
	ASSERT_VERDICT(frame_of(&first.ack), SW_ACK_VALID);
	return frame_of(&second.ack);
}

static struct frame frame_for(enum sw_reason reason)
{
	switch (reason) {
	case SW_OTHER_TRAFFIC:
		return not_tcp();
	case SW_NOT_GUARDED:
		return FRAME(.flags = SYN, .dport = CLOSED_PORT);
	case SW_LATER_FRAGMENT:
		return FRAME(.flags = SYN, .fragment = 185);
	case SW_TRUNCATED:
		return cut();
	case SW_KNOWN:
		return on_connection(ACK);
	case SW_SYN_KNOWN:
		return on_connection(SYN);
	case SW_SYN_TO_KERNEL:
		return tiny_mss(1998);
	case SW_ACK_VALID:
		return valid_ack(1501);
	case SW_ACK_BEHIND_VALID:
		return behind_valid();
	case SW_SYNACK_SENT:
		return FRAME(.flags = SYN, .options = LINUX_OPTIONS(1460));
	case SW_ACK_INVALID:
		return FRAME(.flags = ACK, .ack = 1);
	case SW_SYNACK_UNSOLICITED:
		return FRAME(.flags = SYN | ACK, .ack = 1);
	case SW_RST_UNKNOWN:
		return FRAME(.flags = RST);
	case SW_FLAGS_INVALID:
		return FRAME(.flags = SYN | FIN);
	case SW_HEADER_INVALID:
		return short_header();
	case SW_CHECKSUM_INVALID:
		return FRAME(.flags = SYN, .tcp_checksum = CHECKSUM_WRONG);
	case SW_SYN_FRAGMENT:
		return FRAME(.flags = SYN, .fragment = 0x2000);
	case SW_ADDRESS_INVALID:
		return FRAME(.flags = SYN, .from = SERVER);
	case SW_ACCEPT_QUEUE_FULL:
		return to_full_queue();
	case SW_SYN_OVER_BUDGET:
		return over_budget();
	case SW_NO_ROOM:
		return no_room();
	case SW_SYN_IDLE:
		return in_mode(SW_MODE_AUTO, FRAME(.flags = SYN, .sport = 1605));
	case SW_IDLE:
		return in_mode(SW_MODE_AUTO, FRAME(.flags = ACK, .ack = 1, .sport = 1606));
	case SW_SYN_MONITORED:
		return in_mode(SW_MODE_MONITOR, FRAME(.flags = SYN, .sport = 1607));
	case SW_MONITORED:
		return in_mode(SW_MODE_MONITOR, FRAME(.flags = ACK, .ack = 1, .sport = 1608));
	case SW_SYN_ALLOWED:
		return listed(SW_LISTED_ALLOW, FRAME(.flags = SYN, .sport = 1609));
	case SW_SYN_DENIED:
		return listed(SW_LISTED_DENY, FRAME(.flags = SYN, .sport = 1610));
	case SW_SYNACK_LIMIT:
		return beyond_synack_limit();
	case SW_HANDSHAKE_LIMIT:
		return beyond_handshake_limit();
	default:
		break;
	}
	cr_assert_fail("%s: no test frame reaches it yet", reason_name(reason));
	return (struct frame){};
}

Test(reasons, are_each_reached_by_a_frame)
{
	connect_to(&connection, guard.listener, false, 7001);
	guard_start();
	for (int reason = 0; reason < SW_REASON_COUNT; reason++) {
		struct sw_policy usual = guard.policy;
		struct outcome o;

		if (reason_is_of_proxy((enum sw_reason)reason))
			continue;
		o = RUN(frame_for((enum sw_reason)reason));
		cr_expect_eq((int)o.reason, reason, "frame for %s: %s", reason_name(reason),
			     reason_name(o.reason));
		cr_expect_geq(guard_verdicts((enum sw_reason)reason), 1);
		if (memcmp(&usual, &guard.policy, sizeof(usual))) {
			guard.policy = usual;
			guard_configure();
		}
	}
}
