// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Any bytes as an ACK: what the check accepts is exactly what would have been made, and
 * says nothing a SYN had not offered. Any bytes as a SYN: its cookie comes back whole.
 */
#include "fuzz.h"

#include "../cookies.h"

struct input {
	struct sw_secret secret;
	struct sw_tuple tuple;
	__u32 isn, cookie, now_epoch;
	__u32 clock_ms;
	__u8 v6, ecn, ack_length;
};

static struct sw_tuple normal_tuple(const struct input *in)
{
	struct sw_tuple t = in->tuple;

	t.family_v6 = in->v6 & 1;
	if (!t.family_v6) {
		t.saddr_hi = t.daddr_hi = 0;
		t.saddr_lo &= 0xffffffff;
		t.daddr_lo &= 0xffffffff;
	}
	return t;
}

/*
 * Accepted by chance, once in 2^23, is still accepted rightly: the same cookie would have
 * been made for what the check says was agreed on, in an epoch that is still good.
 */
static void check_any_ack(const struct input *in, const struct sw_tuple *t, __u32 cookie,
			  const struct sw_tcpopts *seen)
{
	struct sw_tcpopts agreed;
	__u32 ts_bits, epoch, later;

	memset(&agreed, 0x5a, sizeof(agreed));
	if (!cookie_taken(&in->secret, t, in->isn, cookie, in->now_epoch, seen, &agreed))
		return;
	MUST((agreed.flags & SW_OPT_TSTAMP) == (seen->flags & SW_OPT_TSTAMP));
	MUST(agreed.mss >= (t->family_v6 ? SW_MSS_DEFAULT_V6 : SW_MSS_DEFAULT_V4));
	MUST(agreed.wscale <= SW_WSCALE_NONE);
	for (later = 0; later < 4; later++) {
		epoch = in->now_epoch + 1 - later;
		if (cookie_made(&in->secret, t, in->isn, epoch, &agreed, &ts_bits) == cookie &&
		    (!(seen->flags & SW_OPT_TSTAMP) ||
		     ts_bits == (seen->tsecr & SW_COOKIE_TS_MASK)))
			return;
	}
	MUST(!"accepted, but never made");
}

static void check_handshake(const struct input *in, const struct sw_tuple *t,
			    const struct sw_tcpopts *offer)
{
	struct sw_tcpopts agreed, seen = {.tsval = 1, .flags = offer->flags & SW_OPT_TSTAMP};
	__u32 ts_bits, tsval, later;
	__u32 cookie = cookie_made(&in->secret, t, in->isn, in->now_epoch, offer, &ts_bits);

	MUST(ts_bits <= SW_COOKIE_TS_MASK);
	tsval = sw_cookie_tsval(in->clock_ms, ts_bits);
	MUST(in->clock_ms - tsval <= SW_COOKIE_TS_MASK);
	if (offer->flags & SW_OPT_TSTAMP)
		seen.tsecr = tsval;
	for (later = 0; later < 4; later++) {
		__u32 now = in->now_epoch - 1 + later;

		MUST(cookie_taken(&in->secret, t, in->isn, cookie, now, &seen, &agreed));
		MUST(agreed.mss <= offer->mss);
		MUST(agreed.wscale == offer->wscale);
		MUST((agreed.flags & SW_OPT_SACK) == (offer->flags & SW_OPT_SACK));
		MUST(!(agreed.flags & ~offer->flags));
		MUST(agreed.tsecr == seen.tsecr && agreed.tsval == seen.tsval);
	}
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct sw_tcpopts offer, seen;
	struct sw_tuple t;
	struct input in;
	__u32 ack_length, ts_bits, cookie;

	if (size < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));
	data += sizeof(in);
	size -= sizeof(in);
	t = normal_tuple(&in);

	/* Of what is left the first bytes are the ACK's options, the rest the SYN's. */
	ack_length = in.ack_length % (SW_TCPOPT_MAX + 1);
	if (ack_length > size)
		ack_length = (__u32)size;
	seen = read_options(data, ack_length, 0);
	data += ack_length;
	size -= ack_length;
	offer = read_options(data, size < SW_TCPOPT_MAX ? (__u32)size : SW_TCPOPT_MAX, 0);
	if (in.ecn & 1 && offer.flags & SW_OPT_TSTAMP)
		offer.flags |= SW_OPT_ECN;
	if (offer.mss < SW_MSS_DEFAULT_V6)
		offer.mss = SW_MSS_DEFAULT_V6; /* what is less is left to the kernel */

	check_any_ack(&in, &t, in.cookie, &seen);
	check_handshake(&in, &t, &offer);

	/* A good cookie under other options, and with the input's bits flipped in it. */
	cookie = cookie_made(&in.secret, &t, in.isn, in.now_epoch, &offer, &ts_bits);
	check_any_ack(&in, &t, cookie, &seen);
	seen.flags = offer.flags;
	seen.tsecr = ts_bits;
	check_any_ack(&in, &t, cookie ^ (1U << (in.cookie & 31)), &seen);
	seen.tsecr = ts_bits ^ 1U << (in.cookie >> 8 & 31);
	check_any_ack(&in, &t, cookie, &seen);
	return 0;
}
