// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "names.h"
#include "trace_view.h"

#define LANE 28 /* columns between client and server */

void trace_fate(const struct segment *s, char text[TRACE_FATE_TEXT])
{
	const struct name *verdict;

	switch (s->origin) {
	case SEGMENT_CLIENT:
		verdict = &names_verdict[s->reason];
		snprintf(text, TRACE_FATE_TEXT, "%s (%s): %s", verdict->name,
			 names_action(verdict->action), verdict->text);
		break;
	case SEGMENT_SYNWARD:
		strcpy(text, "sent by synward, XDP_TX");
		break;
	case SEGMENT_KERNEL:
		strcpy(text, "sent by this machine's TCP");
		break;
	}
}

/* The marks a rung is drawn with. */
struct marks {
	const char *line, *wall, *right, *left, *dropped, *more;
};

static const struct marks *marks_of(const struct ladder *l)
{
	static const struct marks ascii = {"-", "|", ">", "<", "X", "..."};
	static const struct marks utf8 = {"─", "│", "▶", "◀", "✕", "…"};

	return l->utf8 ? &utf8 : &ascii;
}

static void repeat(const char *text, int times)
{
	while (times-- > 0)
		fputs(text, stdout);
}

static void print_arrow(const struct marks *m, const struct segment *s)
{
	bool client = s->origin == SEGMENT_CLIENT;
	bool dropped = client && names_verdict[s->reason].action == SW_ACTION_DROP;
	char flags[SEGMENT_FLAGS_TEXT];
	int rest;

	segment_flags(s->flags, flags);
	rest = LANE - (int)strlen(flags) - 5; /* two dashes, two spaces, the head */
	fputs(m->wall, stdout);
	if (client) {
		repeat(m->line, 2);
		printf(" %s ", flags);
		repeat(m->line, dropped ? rest - 4 : rest);
		fputs(dropped ? m->dropped : m->right, stdout);
		printf("%*s", dropped ? 4 : 0, "");
	} else {
		fputs(m->left, stdout);
		repeat(m->line, rest);
		printf(" %s ", flags);
		repeat(m->line, 2);
	}
	fputs(m->wall, stdout);
}

static void print_blank(const struct marks *m)
{
	printf("%11s %s%*s%s", "", m->wall, LANE, "", m->wall);
}

static void print_number(const char *name, __u32 number, bool known, __u32 relative)
{
	if (known)
		printf("%s %u (%u)", name, relative, number);
	else
		printf("%s (%u)", name, number);
}

static void print_options(const struct segment *s)
{
	const struct sw_tcpopts *o = &s->options;

	if (o->mss)
		printf(", mss %u", o->mss);
	if (o->flags & SW_OPT_SACK)
		fputs(", sack", stdout);
	if (o->flags & SW_OPT_TSTAMP)
		printf(", ts %u/%u", o->tsval, o->tsecr);
	if (o->wscale != SW_WSCALE_NONE)
		printf(", wscale %u", o->wscale);
	if (o->flags & SW_OPT_SIGNED)
		fputs(", signed (TCP-MD5 or TCP-AO)", stdout);
}

static void print_numbers(const struct flow *f, const struct segment *s)
{
	__u32 relative;
	bool known;

	known = flow_relative_seq(f, s, &relative);
	print_number("seq", s->seq, known, relative);
	if (s->flags & SEGMENT_ACK) {
		known = flow_relative_ack(f, s, &relative);
		print_number(", ack", s->ack, known, relative);
	}
	printf(", win %u", s->window);
	if (s->payload)
		printf(", %u bytes", s->payload);
	print_options(s);
}

static void print_hidden(const struct marks *m, struct flow *f)
{
	if (!f->hidden[0].segments && !f->hidden[1].segments)
		return;
	print_blank(m);
	printf(" %s %lu segments, %llu bytes from the client; %lu, %llu to it\n", m->more,
	       f->hidden[0].segments, f->hidden[0].bytes, f->hidden[1].segments,
	       f->hidden[1].bytes);
	memset(f->hidden, 0, sizeof(f->hidden));
}

static void print_head(const struct ladder *l, const struct flow *f, const struct segment *s)
{
	char client[SEGMENT_END_TEXT], server[SEGMENT_END_TEXT], when[32];
	time_t began = (time_t)(f->began_ns / 1000000000);
	struct tm tm;

	segment_end(s, true, client);
	segment_end(s, false, server);
	strftime(when, sizeof(when), "%H:%M:%S", localtime_r(&began, &tm));
	printf("%s > %s on %s, %s.%03llu\n", client, server, l->ifname, when,
	       f->began_ns / 1000000 % 1000);
	printf("%11s %-*s%s\n", "ms", LANE - 4, "client", "server");
}

bool ladder_print(struct ladder *l, struct flow *f, const struct segment *s)
{
	const struct marks *m = marks_of(l);
	__u64 began_ns = f->began_ns < s->time_ns ? f->began_ns : s->time_ns;
	char fate[TRACE_FATE_TEXT];

	if (!l->all && !flow_is_shown(f, s))
		return false;
	if (l->last != f || l->last_began_ns != f->began_ns)
		print_head(l, f, s);
	l->last = f;
	l->last_began_ns = f->began_ns;
	print_hidden(m, f);
	trace_fate(s, fate);
	printf("%11.3f ", (double)(s->time_ns - began_ns) / 1e6);
	print_arrow(m, s);
	printf(" %s\n", fate);
	print_blank(m);
	fputs("   ", stdout);
	print_numbers(f, s);
	putchar('\n');
	return true;
}

void ladder_end(const struct ladder *l)
{
	if (l->last)
		print_hidden(marks_of(l), l->last);
}
