// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>

#include "names.h"
#include "trace_view.h"

static void put_text(struct json_object *obj, const char *key, const char *text)
{
	json_object_object_add(obj, key, json_object_new_string(text));
}

static void put_number(struct json_object *obj, const char *key, __u64 value)
{
	json_object_object_add(obj, key, json_object_new_uint64(value));
}

static void put_time(struct json_object *obj, __u64 time_ns)
{
	char text[40];

	snprintf(text, sizeof(text), "%llu.%09llu", time_ns / 1000000000, time_ns % 1000000000);
	json_object_object_add(obj, "time", json_object_new_double_s((double)time_ns / 1e9, text));
}

static void put_ends(struct json_object *obj, const struct segment *s)
{
	char address[INET6_ADDRSTRLEN];

	put_text(obj, "client", inet_ntop(s->family, s->client, address, sizeof(address)));
	put_number(obj, "client_port", s->client_port);
	put_text(obj, "server", inet_ntop(s->family, s->server, address, sizeof(address)));
	put_number(obj, "server_port", s->server_port);
}

static void put_fate(struct json_object *obj, const struct segment *s)
{
	static const char *const sender[] = {"client", "synward", "kernel"};
	const struct name *verdict = &names_verdict[s->reason];

	put_text(obj, "sender", sender[s->origin]);
	if (s->origin != SEGMENT_CLIENT)
		return;
	put_text(obj, "verdict", verdict->name);
	put_text(obj, "action", names_action(verdict->action));
	put_text(obj, "text", verdict->text);
}

static void put_numbers(struct json_object *obj, const struct flow *f, const struct segment *s)
{
	char flags[SEGMENT_FLAGS_TEXT];
	__u32 relative;

	segment_flags(s->flags, flags);
	put_text(obj, "flags", flags);
	put_number(obj, "seq", s->seq);
	if (flow_relative_seq(f, s, &relative))
		put_number(obj, "seq_relative", relative);
	if (s->flags & SEGMENT_ACK) {
		put_number(obj, "ack", s->ack);
		if (flow_relative_ack(f, s, &relative))
			put_number(obj, "ack_relative", relative);
	}
	put_number(obj, "window", s->window);
	put_number(obj, "payload_bytes", s->payload);
}

static void put_options(struct json_object *parent, const struct segment *s)
{
	struct json_object *obj = json_object_new_object();
	const struct sw_tcpopts *o = &s->options;

	if (o->mss)
		put_number(obj, "mss", o->mss);
	if (o->wscale != SW_WSCALE_NONE)
		put_number(obj, "wscale", o->wscale);
	if (o->flags & SW_OPT_SACK)
		json_object_object_add(obj, "sack_permitted", json_object_new_boolean(true));
	if (o->flags & SW_OPT_TSTAMP) {
		put_number(obj, "tsval", o->tsval);
		put_number(obj, "tsecr", o->tsecr);
	}
	if (o->flags & SW_OPT_SIGNED)
		json_object_object_add(obj, "signed", json_object_new_boolean(true));
	json_object_object_add(parent, "options", obj);
}

struct json_object *trace_json(const char *ifname, const struct flow *f, const struct segment *s)
{
	struct json_object *obj = json_object_new_object();

	put_time(obj, s->time_ns);
	put_text(obj, "interface", ifname);
	put_fate(obj, s);
	put_ends(obj, s);
	put_numbers(obj, f, s);
	put_options(obj, s);
	return obj;
}
