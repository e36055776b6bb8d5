// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Mutated frames, the same ones in each run. What is held against each of them does not know the BPF code. */
#include <string.h>

#include "guard.h"

TestSuite(fuzz, .init = guard_up, .timeout = 80);

#define RUNS 200000

static __u64 state = 20240611;

static __u32 dice(__u32 sides)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (__u32)((state >> 33) % sides);
}

static __u8 interesting(void)
{
	static const __u8 values[] = { 0, 1, 2, 3, 4, 5, 6, 8, 10, 15, 16, 17, 20, 34, 40, 44,
				       60, 64, 80, 127, 128, 192, 224, 240, 253, 255 };

	return dice(2) ? values[dice(sizeof(values))] : (__u8)dice(256);
}

static void mutate(struct frame *f)
{
	for (__u32 times = 1 + dice(6); times; times--) {
		__u32 at = dice(f->length), length;

		switch (dice(8)) {
		case 0:
			f->length = 14 + dice(f->length - 13);
			break;
		case 1:
			length = f->length + dice(64);
			*f = frame_resized(f, length);
			break;
		case 2: /* a piece moves */
			length = dice(16);
			if (at + length < f->length)
				memmove(f->byte + dice(f->length - length), f->byte + at, length);
			break;
		case 3:
		case 4:
			f->byte[at] ^= (__u8)(1 << dice(8));
			break;
		case 5: /* IP and TCP headers more often than the rest */
			at = f->l3 + dice(100);
			if (at < f->length)
				f->byte[at] = interesting();
			break;
		default:
			f->byte[at] = interesting();
		}
	}
	if (dice(4))
		frame_fix(f);
	if (!dice(8))
		f->linear = 14 + dice(f->length - 13);
}

/* NULL, or why nobody may answer that frame. */
static const char *earns_nothing(const struct frame *f)
{
	struct seen s = frame_read(f);
	const __u8 *from = s.from.s6_addr;

	if (s.wrong && !(strcmp(s.wrong, "TCP checksum") == 0 && s.tcp_checksum_partial))
		return s.wrong;
	if ((s.flags & (SYN | ACK | RST | FIN)) != SYN)
		return "not a SYN";
	if (s.v6 ? s.fragment : s.fragment & 0x3fff)
		return "a fragment";
	if (s.dport != SERVER_PORT)
		return "not the listener's port";
	if (memcmp(&s.from, &s.to, 16) == 0)
		return "from itself";
	if (s.v6 ? from[0] == 0xff : from[12] == 0 || from[12] == 127 || from[12] >> 4 == 14)
		return "its source cannot be answered";
	if (s.dest[0] & 1)
		return "to a group";
	return NULL;
}

static void assert_reply_is_right(const struct frame *in, const struct outcome *o)
{
	struct seen r = frame_read(&o->frame), s = frame_read(in);
	const char *why = earns_nothing(in);

	cr_assert_null(why, "answered: %s", why);
	cr_assert_null(r.wrong, "reply: %s", r.wrong);
	cr_assert_eq(r.flags & ~ECE, SYN | ACK);
	cr_assert_eq(r.ack, s.seq + 1);
	cr_assert_arr_eq(&r.from, &s.to, 16);
	cr_assert_arr_eq(&r.to, &s.from, 16);
	cr_assert_eq(r.sport, s.dport);
	cr_assert_eq(r.dport, s.sport);
	cr_assert_arr_eq(r.dest, s.source, 6);
	cr_assert_arr_eq(r.source, s.dest, 6);
	cr_assert_leq(o->frame.length, in->length + 24);
	/* The sender's own bytes behind the packet may stay if they lie in a second buffer. */
	if (!in->linear)
		cr_assert_leq(r.trailer_length, 6);
}

/* What is mutated: SYNs of all kinds, ACKs with cookies, segments of a connection. */
#define SEEDS 24
static struct frame seed[SEEDS];
static struct seen valid[SEEDS]; /* of ACKs that are good as they are */

static void make_seeds(void)
{
	static const __u8 data[] = "GET / HTTP/1.1\r\nHost: example.net\r\n\r\n";
	struct bytes layouts[] = { LINUX_OPTIONS(1440), WINDOWS_OPTIONS(1440), MACOS_OPTIONS(1440),
				   FREEBSD_OPTIONS(1440), BARE_OPTIONS, BYTES(OPT_TS, OPT_SACK, 34, 2, 1, 1) };
	struct tag tag = { 0x8100, 42 }, outer = { 0x88a8, 7 };
	__u32 n = 0;

	for (int i = 0; i < 12; i++, n++) {
		struct segment s = {
			.v6 = i & 1,
			.flags = i == 3 ? SYN | ECE | CWR : SYN,
			.options = layouts[i / 2],
			.sport = (__u16)(2000 + i),
			.tcp_checksum = i == 4 ? CHECKSUM_PARTIAL : CHECKSUM_RIGHT,
		};

		if (i >= 8)
			s.tag[0] = i >= 10 ? outer : tag;
		if (i >= 10)
			s.tag[1] = tag;
		if (i == 5 || i == 7)
			s.extensions = 2, s.extension[0] = 60, s.extension[1] = 43;
		if (i == 6 || i == 9)
			s.data = (struct bytes){ data, sizeof(data) };
		seed[n] = frame_of(&s);
	}
	for (int i = 0; i < 10; i++, n++) {
		struct handshake h;

		SHAKE_HANDS(&h, .v6 = i & 1, .options = layouts[i / 2], .sport = (__u16)(3000 + i * 3));
		if (i >= 6)
			h.ack.data = (struct bytes){ data, sizeof(data) };
		seed[n] = frame_of(&h.ack);
		valid[n] = frame_read(&seed[n]);
	}
	seed[n++] = FRAME(.flags = SYN | ACK, .ack = 5, .sport = 443);
	seed[n++] = FRAME(.v6 = true, .flags = RST | ACK, .ack = 5, .sport = 443);
	cr_assert_eq(n, SEEDS);
}

/* Only the numbers that were given out are good, whatever else was changed. */
static void assert_cookie_was_ours(const struct frame *f)
{
	struct seen s = frame_read(f);

	for (int i = 0; i < SEEDS; i++)
		if (valid[i].flags && s.seq == valid[i].seq && s.ack == valid[i].ack &&
		    s.sport == valid[i].sport && memcmp(&s.from, &valid[i].from, 16) == 0)
			return;
	cr_assert_fail("accepted: seq %x ack %x from port %u (%s)", s.seq, s.ack, s.sport, s.wrong ?: "");
}

/* Modes, lists and limits take turns, a share of the runs each; most go to the usual one. */
static void take_turns(int run)
{
	static const struct turn {
		enum sw_mode mode;
		enum sw_listed listed;
		__u32 limit;
	} turn[] = {
		{ SW_MODE_ALWAYS, 0, 0 }, { SW_MODE_ALWAYS, 0, 0 }, { SW_MODE_ALWAYS, 0, 0 },
		{ SW_MODE_MONITOR, 0, 0 }, { SW_MODE_AUTO, 0, 0 }, { SW_MODE_ALWAYS, SW_LISTED_ALLOW, 0 },
		{ SW_MODE_ALWAYS, SW_LISTED_DENY, 0 }, { SW_MODE_ALWAYS, 0, 1 },
	};
	const int turns = sizeof(turn) / sizeof(*turn), each = RUNS / turns;
	const struct turn *now = &turn[run / each % turns];
	struct sw_service *s = &guard.policy.service[0];

	if (run % each)
		return;
	s->mode = now->mode;
	s->syn_start = 1000000000;
	s->synack_limit = s->handshake_limit = now->limit;
	guard.policy.lists = 0;
	if (now->listed)
		guard_list("0.0.0.0", 0, now->listed);
	guard_configure();
}

Test(fuzz, mutated_frames_get_a_defined_verdict_and_only_what_they_earn)
{
	__u32 verdicts[SW_REASON_COUNT] = {};
	static struct frame f;

	make_seeds();
	for (int run = 0; run < RUNS; run++) {
		struct outcome o;

		take_turns(run);
		f = seed[dice(SEEDS)];
		mutate(&f);
		o = guard_run(&f); /* one verdict, its action, nothing else changed */
		verdicts[o.reason]++;
		if (o.action == XDP_TX)
			assert_reply_is_right(&f, &o);
		if (o.reason == SW_ACK_VALID)
			assert_cookie_was_ours(&f);
	}
	/* The mutations are worth something only if they get everywhere. */
	for (int i = 0; i < SW_REASON_COUNT; i++)
		if (i != SW_KNOWN && i != SW_SYN_KNOWN && i != SW_ACCEPT_QUEUE_FULL &&
		    i != SW_SYN_OVER_BUDGET && i != SW_NO_ROOM && !reason_is_of_proxy((enum sw_reason)i))
			cr_expect_gt(verdicts[i], 10, "%s: %u", reason_name(i), verdicts[i]);
}
