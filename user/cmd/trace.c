// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* synward trace: the segments of handshakes and what became of each, as they come. */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "names.h"
#include "pcapng.h"
#include "prefix.h"
#include "tap.h"
#include "trace_view.h"
#include "tracer.h"

#define RATE_DEFAULT 1000    /* segments a second and CPU */
#define ORDER_NS 30000000ULL /* segments of two sources are told so much later, in order */
#define ORDER_MS 10
#define HELD_MOST 4096

struct trace {
	struct cli *cli;
	const char *pcap_path;
	struct sw_trace_filter filter;
	unsigned long count; /* 0: until interrupted */
	struct guard guard;
	struct tracer tracer;
	int tap_fd;
	FILE *pcap;
	struct ladder ladder;
	struct flows flows;
	__u64 clock_offset_ns; /* CLOCK_REALTIME less CLOCK_MONOTONIC */
	struct segment *held;  /* by time, not told yet */
	int held_count;
	unsigned long told;
	__u64 lost_told, tap_lost;
	int err;
};

enum { OPTION_CLIENT = 256, OPTION_PORT, OPTION_PCAP, OPTION_RATE, OPTION_ALL };

static const struct argp_option options[] = {
	{"client", OPTION_CLIENT, "ADDR", 0, "Only clients of that address or prefix", 0},
	{"port", OPTION_PORT, "N", 0, "Only connections to that port of this machine", 0},
	{"count", 'c', "N", 0, "End after N segments", 0},
	{"all", OPTION_ALL, NULL, 0,
	 "Show every segment; else those in mid-connection are summed up", 0},
	{"pcap", OPTION_PCAP, "FILE", 0,
	 "Write the segments as pcapng too, verdicts as comments; '-': to stdout, and nothing else",
	 0},
	{"rate", OPTION_RATE, "N", 0,
	 "Tell at most N segments a second and CPU, of connections and of all else each (default: "
	 "1000)",
	 0},
	{}};

/* As struct sw_tuple has addresses. */
static void set_client(struct argp_state *state, struct sw_trace_filter *f, const char *text)
{
	static const __u8 mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	__u8 mask[16] = {};
	struct prefix p;
	unsigned int bit;

	if (prefix_parse(text, &p))
		argp_error(state, "no address or prefix: '%s'", text);
	for (bit = 0; bit < p.length; bit++)
		mask[bit / 8] |= (__u8)(0x80 >> bit % 8);
	if (p.length >= 96 && !memcmp(p.addr, mapped, sizeof(mapped))) {
		f->family = 4;
		memcpy(&f->addr_lo, p.addr + 12, 4);
		memcpy(&f->mask_lo, mask + 12, 4);
		return;
	}
	f->family = 6;
	memcpy(&f->addr_hi, p.addr, 8);
	memcpy(&f->addr_lo, p.addr + 8, 8);
	memcpy(&f->mask_hi, mask, 8);
	memcpy(&f->mask_lo, mask + 8, 8);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct trace *t = state->input;

	switch (key) {
	case OPTION_CLIENT:
		set_client(state, &t->filter, arg);
		return 0;
	case OPTION_PORT:
		t->filter.port = (__u16)cli_number(state, "port", arg, 1, 65535);
		return 0;
	case OPTION_PCAP:
		t->pcap_path = arg;
		return 0;
	case OPTION_RATE:
		t->filter.rate = (__u32)cli_number(state, "rate", arg, 1, 1000000);
		return 0;
	case OPTION_ALL:
		t->ladder.all = true;
		return 0;
	case 'c':
		t->count = cli_number(state, "count", arg, 1, 1000000000);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static bool to_stdout(const struct trace *t)
{
	return t->pcap_path && !strcmp(t->pcap_path, "-");
}

static void tell_json(struct json_object *obj)
{
	puts(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN |
							 JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(obj);
}

static void tell(struct trace *t, const struct segment *s)
{
	struct flow *f = flows_find(&t->flows, s);
	char fate[TRACE_FATE_TEXT];
	bool shown = true;

	if (t->pcap) {
		trace_fate(s, fate);
		t->err = pcapng_put(t->pcap, s, fate);
	}
	if (!to_stdout(t)) {
		if (t->cli->json)
			tell_json(trace_json(t->guard.ifname, f, s));
		else
			shown = ladder_print(&t->ladder, f, s);
	}
	t->told += shown;
}

static bool is_full(const struct trace *t)
{
	return t->err || (t->count && t->told >= t->count);
}

static void tell_held(struct trace *t, __u64 until_ns)
{
	int i;

	for (i = 0; i < t->held_count && t->held[i].time_ns <= until_ns && !is_full(t); i++)
		tell(t, &t->held[i]);
	t->held_count -= i;
	memmove(t->held, t->held + i, t->held_count * sizeof(*t->held));
	if (i && (fflush(stdout) || (t->pcap && fflush(t->pcap))))
		t->err = -errno;
}

/* Into its place by time: what XDP saw and what the kernel sent come by two ways. */
static void hold(struct trace *t, const struct segment *s)
{
	int at;

	if (t->held_count == HELD_MOST)
		tell_held(t, t->held[HELD_MOST / 2].time_ns);
	if (t->held_count == HELD_MOST) /* nothing is told any more */
		return;
	for (at = t->held_count; at > 0 && t->held[at - 1].time_ns > s->time_ns; at--)
		;
	memmove(t->held + at + 1, t->held + at, (t->held_count - at) * sizeof(*t->held));
	t->held[at] = *s;
	t->held_count++;
}

static int on_record(void *arg, void *data, size_t size)
{
	const struct sw_trace_record *r = data;
	struct trace *t = arg;
	struct segment s;

	if (size < sizeof(*r) || r->reason >= SW_REASON_COUNT || r->captured > sizeof(r->frame))
		return 0;
	s.time_ns = r->time_ns + t->clock_offset_ns;
	s.origin = r->kind == SW_TRACE_ANSWERED ? SEGMENT_SYNWARD : SEGMENT_CLIENT;
	s.reason = r->reason;
	s.captured = r->captured;
	memcpy(s.frame, r->frame, r->captured);
	if (segment_read(&s))
		hold(t, &s);
	return 0;
}

static void read_tap(struct trace *t)
{
	struct segment s = {};
	int err;

	do {
		err = tap_read(t->tap_fd, &s);
		if (!err)
			hold(t, &s);
	} while (!err || err == -ENOMSG);
	if (err != -EAGAIN && err != -ENETDOWN)
		t->err = err;
}

static void tell_lost(struct trace *t)
{
	struct json_object *obj;
	__u64 lost, news;

	t->tap_lost += tap_lost(t->tap_fd);
	if (tracer_lost(&t->tracer, &lost))
		return;
	news = lost + t->tap_lost - t->lost_told;
	t->lost_told += news;
	if (!news || to_stdout(t))
		return;
	if (!t->cli->json) {
		printf("  %llu segments not shown: more than %u a second; --client, --port or "
		       "--rate\n",
		       news, t->filter.rate);
		return;
	}
	obj = json_object_new_object();
	json_object_object_add(obj, "interface", json_object_new_string(t->guard.ifname));
	json_object_object_add(obj, "lost", json_object_new_uint64(news));
	tell_json(obj);
}

static int renew(struct trace *t, struct why *why)
{
	t->clock_offset_ns = tracer_clock_ns(CLOCK_REALTIME) - tracer_clock_ns(CLOCK_MONOTONIC);
	tell_lost(t);
	if (!tracer_renew(&t->tracer))
		return why_is(why, -EBUSY, "another process traces it now");
	return guard_lasts(&t->guard, why);
}

static int follow(struct trace *t, struct why *why)
{
	struct pollfd fds[] = {{.fd = ring_buffer__epoll_fd(t->tracer.ring), .events = POLLIN},
			       {.fd = t->tap_fd, .events = POLLIN}};
	__u64 renew_ns = 0, now_ns;
	int err = 0;

	while (!err && !cli_interrupted && !is_full(t)) {
		now_ns = tracer_clock_ns(CLOCK_MONOTONIC);
		if (now_ns >= renew_ns) {
			err = renew(t, why);
			renew_ns = now_ns + TRACER_RENEW_MS * 1000000ULL;
		}
		poll(fds, 2, t->held_count ? ORDER_MS : TRACER_RENEW_MS / 4);
		ring_buffer__consume(t->tracer.ring);
		read_tap(t);
		tell_held(t, tracer_clock_ns(CLOCK_REALTIME) - ORDER_NS);
	}
	tell_held(t, ~0ULL);
	if (!t->cli->json && !to_stdout(t))
		ladder_end(&t->ladder);
	tell_lost(t);
	if (!err && t->err)
		err = why_is(why, t->err, "cannot go on: %s", strerror(-t->err));
	return err;
}

static int open_pcap(struct trace *t, struct why *why)
{
	int err;

	if (!t->pcap_path)
		return 0;
	if (to_stdout(t) && isatty(STDOUT_FILENO))
		return why_is(why, -EINVAL, "--pcap - writes binary, and not to a terminal");
	t->pcap = to_stdout(t) ? stdout : fopen(t->pcap_path, "we");
	if (!t->pcap)
		return why_is(why, -errno, "cannot write %s: %s", t->pcap_path, strerror(errno));
	err = pcapng_begin(t->pcap, t->guard.ifname);
	return err ? why_is(why, err, "cannot write %s: %s", t->pcap_path, strerror(-err)) : 0;
}

static int close_pcap(struct trace *t, struct why *why)
{
	if (!t->pcap || t->pcap == stdout)
		return 0;
	return fclose(t->pcap)
		       ? why_is(why, -errno, "cannot write %s: %s", t->pcap_path, strerror(errno))
		       : 0;
}

static int trace_with(struct trace *t, struct why *why)
{
	struct why ignored;
	int err, closed;

	/* First the one that is refused without privileges. */
	err = tracer_open_segments(&t->guard, &t->filter, on_record, t, &t->tracer, why);
	if (err)
		return err;
	t->tap_fd = tap_open(&t->guard, &t->filter, why);
	err = t->tap_fd < 0 ? t->tap_fd : open_pcap(t, why);
	if (!err)
		err = follow(t, why);
	closed = close_pcap(t, err ? &ignored : why);
	if (t->tap_fd >= 0)
		close(t->tap_fd);
	tracer_close(&t->tracer);
	return err ?: closed;
}

static int trace(struct trace *t, struct why *why)
{
	int err;

	err = guard_by_name(t->cli->ifname, &t->guard, why);
	if (err)
		return err;
	t->held = calloc(HELD_MOST, sizeof(*t->held));
	if (!t->held)
		return -ENOMEM;
	t->ladder.ifname = t->guard.ifname;
	t->filter.unguarded = t->filter.port || t->filter.family;
	err = trace_with(t, why);
	free(t->held);
	return err;
}

int cmd_trace(int argc, char **argv, struct cli *cli)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "IFACE",
		.doc = "Handshakes as they come, segment by segment, with the reason of each "
		       "verdict; "
		       "with -j a JSON object a line.",
	};
	struct trace *t = calloc(1, sizeof(*t));
	struct why why = {};
	int err;

	if (!t)
		return -ENOMEM;
	t->cli = cli;
	t->tap_fd = -1;
	t->filter.rate = RATE_DEFAULT;
	setlocale(LC_CTYPE, "");
	t->ladder.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	cli_parse(&argp, CLI_INTERFACE, argc, argv, cli, t);
	say_capture_libraries(cli);
	names_init();
	cli_end_on_signals();
	err = trace(t, &why);
	if (err)
		say_error(cli, t->cli->ifname, "%s", why.text[0] ? why.text : strerror(-err));
	free(t);
	return err;
}
