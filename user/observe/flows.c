// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>

#include "flows.h"

#define SHOWN_AT_START 6 /* segments beside SYNs and the like: the first request and its answer */
#define SHOWN_AT_END 4	 /* after a FIN: what acknowledges it */

static bool same(const struct flow *f, const struct segment *s)
{
	return f->touched_ns && f->client_port == s->client_port &&
	       f->server_port == s->server_port && !memcmp(f->client, s->client, 16) &&
	       !memcmp(f->server, s->server, 16);
}

static void begin(struct flow *f, const struct segment *s)
{
	*f = (struct flow){
		.client_port = s->client_port,
		.server_port = s->server_port,
		.began_ns = s->time_ns,
		.shown_most = SHOWN_AT_START,
	};
	memcpy(f->client, s->client, sizeof(f->client));
	memcpy(f->server, s->server, sizeof(f->server));
}

static bool is_syn(const struct segment *s)
{
	return (s->flags & (SEGMENT_SYN | SEGMENT_ACK)) == SEGMENT_SYN;
}

static void learn(struct flow *f, const struct segment *s)
{
	if (s->origin == SEGMENT_CLIENT && is_syn(s)) {
		if (f->client_known && f->client_isn != s->seq)
			begin(f, s); /* the port is used again */
		f->client_isn = s->seq;
		f->client_known = true;
	} else if (s->origin != SEGMENT_CLIENT && s->flags & SEGMENT_SYN) {
		f->server_isn = s->seq;
		f->server_known = true;
	}
	f->touched_ns = s->time_ns ?: 1;
}

struct flow *flows_find(struct flows *flows, const struct segment *s)
{
	struct flow *oldest = flows->flow, *f;

	for (f = flows->flow; f < flows->flow + FLOWS_MOST; f++) {
		if (same(f, s)) {
			learn(f, s);
			return f;
		}
		if (f->touched_ns < oldest->touched_ns)
			oldest = f;
	}
	begin(oldest, s);
	learn(oldest, s);
	return oldest;
}

bool flow_relative_seq(const struct flow *f, const struct segment *s, __u32 *ret)
{
	bool client = s->origin == SEGMENT_CLIENT;

	*ret = s->seq - (client ? f->client_isn : f->server_isn);
	return client ? f->client_known : f->server_known;
}

bool flow_relative_ack(const struct flow *f, const struct segment *s, __u32 *ret)
{
	bool client = s->origin == SEGMENT_CLIENT;

	*ret = s->ack - (client ? f->server_isn : f->client_isn);
	return client ? f->server_known : f->client_known;
}

bool flow_is_shown(struct flow *f, const struct segment *s)
{
	int side = s->origin == SEGMENT_CLIENT ? 0 : 1;

	if (s->flags & SEGMENT_FIN && f->shown_most < SHOWN_AT_END)
		f->shown_most = SHOWN_AT_END;
	if (s->flags & (SEGMENT_SYN | SEGMENT_FIN | SEGMENT_RST) ||
	    (s->origin == SEGMENT_CLIENT && !sw_trace_is_ongoing(s->reason)))
		return true;
	if (f->shown_most > 0) {
		f->shown_most--;
		return true;
	}
	f->hidden[side].segments++;
	f->hidden[side].bytes += s->payload;
	return false;
}
