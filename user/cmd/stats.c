// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "counters.h"

#define HEADER_EVERY 20 /* lines */
#define NS_PER_S 1000000000ULL

struct stats {
	struct cli *cli;
	double interval_s;
	unsigned long count; /* lines; 0: until interrupted */
	struct guard guard;
	int fd;
};

static const struct argp_option options[] = {
	{"interval", 'i', "SEC", 0, "Time between lines, 0.1 at least (default: 1)", 0},
	{"count", 'c', "N", 0, "End after N lines", 0},
	{}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct stats *s = state->input;
	char *end;

	switch (key) {
	case 'i':
		s->interval_s = strtod(arg, &end);
		if (end == arg || *end || !(s->interval_s >= 0.1) || s->interval_s > 86400)
			argp_error(state, "no interval of 0.1 to 86400 seconds: '%s'", arg);
		return 0;
	case 'c':
		s->count = cli_number(state, "count", arg, 1, 1000000000);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static __u64 clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* What one line tells: counters now, counters before, and how long that is. */
struct span {
	struct sw_counters now, before;
	double length_s;
};

static double rate(const struct span *span, __u64 now, __u64 before)
{
	return span->length_s > 0 ? (double)(now - before) / span->length_s : 0;
}

static double column_rate(const struct span *span, int column)
{
	return rate(span, counters_sum(&span->now, column), counters_sum(&span->before, column));
}

static struct json_object *number(double value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.1f", value);
	return json_object_new_double_s(value, text);
}

static void add_named(struct json_object *parent, const char *key, const struct name *names,
		      int count, const __u64 *now, const __u64 *before, const struct span *span)
{
	struct json_object *obj = json_object_new_object();
	int i;

	for (i = 0; i < count; i++)
		json_object_object_add(obj, names[i].name,
				       before ? number(rate(span, now[i], before[i]))
					      : json_object_new_uint64(now[i]));
	json_object_object_add(parent, key, obj);
}

static void print_json(const struct stats *s, const struct span *span)
{
	struct json_object *line = json_object_new_object(), *rates = json_object_new_object(),
			   *totals = json_object_new_object();
	int i;

	json_object_object_add(line, "time", number(clock_ns(CLOCK_REALTIME) / 1e9));
	json_object_object_add(line, "interface", json_object_new_string(s->guard.ifname));
	json_object_object_add(line, "interval_s", number(span->length_s));
	for (i = 0; i < NAMES_COLUMNS; i++)
		json_object_object_add(rates, names_column[i].name, number(column_rate(span, i)));
	json_object_object_add(line, "rates", rates);
	add_named(line, "verdicts", names_verdict, SW_REASON_COUNT, span->now.verdict,
		  span->before.verdict, span);
	add_named(line, "events", names_event, SW_EVENT_COUNT, span->now.event, span->before.event,
		  span);
	add_named(totals, "verdicts", names_verdict, SW_REASON_COUNT, span->now.verdict, NULL,
		  span);
	add_named(totals, "events", names_event, SW_EVENT_COUNT, span->now.event, NULL, span);
	json_object_object_add(line, "totals", totals);
	puts(json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN));
	json_object_put(line);
}

static void print_header(void)
{
	int i;

	for (i = 0; i < NAMES_COLUMNS; i++)
		printf("%*s", i ? 10 : 9, names_column[i].name);
	putchar('\n');
}

static void print_named(const struct name *names, int count, const __u64 *now, const __u64 *before,
			const struct span *span)
{
	int i;

	for (i = 0; i < count; i++) {
		if (now[i] != before[i])
			printf("  %-20s%11.1f  %s\n", names[i].name, rate(span, now[i], before[i]),
			       names[i].text);
	}
}

static void print_plain(const struct stats *s, const struct span *span, unsigned long line)
{
	int i;

	if (!line || (line % HEADER_EVERY == 0 && isatty(STDOUT_FILENO)))
		print_header();
	for (i = 0; i < NAMES_COLUMNS; i++)
		printf("%*.0f", i ? 10 : 9, column_rate(span, i));
	putchar('\n');
	if (s->cli->verbose) {
		print_named(names_verdict, SW_REASON_COUNT, span->now.verdict, span->before.verdict,
			    span);
		print_named(names_event, SW_EVENT_COUNT, span->now.event, span->before.event, span);
	}
}

/* To a moment, not for a time: printing does not make the lines drift. */
static void sleep_until(__u64 ns)
{
	struct timespec t = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static double since_attach_s(const struct guard *g)
{
	struct sw_info info;
	__u64 now_ns = clock_ns(CLOCK_REALTIME);

	if (guard_info(g, &info) || now_ns <= info.attached_at_ns)
		return 0;
	return (double)(now_ns - info.attached_at_ns) / NS_PER_S;
}

static int print_lines(struct stats *s, struct why *why)
{
	__u64 start_ns = clock_ns(CLOCK_MONOTONIC), last_ns = start_ns, now_ns;
	struct span span = {.length_s = since_attach_s(&s->guard)};
	unsigned long line;
	int err;

	for (line = 0; !cli_interrupted; line++) {
		err = counters_read(s->fd, &span.now);
		if (err)
			return why_is(why, err, "cannot read its counters: %s", strerror(-err));
		if (s->cli->json)
			print_json(s, &span);
		else
			print_plain(s, &span, line);
		if (fflush(stdout))
			return why_is(why, -errno, "cannot write: %s", strerror(errno));
		if (s->count && line + 1 == s->count)
			break;
		span.before = span.now;
		sleep_until(start_ns + (__u64)((line + 1) * s->interval_s * NS_PER_S));
		err = guard_lasts(&s->guard, why);
		if (err)
			return err;
		now_ns = clock_ns(CLOCK_MONOTONIC);
		span.length_s = (double)(now_ns - last_ns) / NS_PER_S;
		last_ns = now_ns;
	}
	return 0;
}

static int stats(struct stats *s, struct why *why)
{
	int err;

	err = guard_by_name(s->cli->ifname, &s->guard, why);
	if (err)
		return err;
	s->fd = counters_open(&s->guard, why);
	if (s->fd < 0)
		return s->fd;
	cli_end_on_signals();
	names_init();
	err = print_lines(s, why);
	close(s->fd);
	return err;
}

int cmd_stats(int argc, char **argv, struct cli *cli)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "IFACE",
		.doc = "Rates per second, a line each interval; the first is the average since "
		       "attach.",
	};
	struct stats s = {.cli = cli, .interval_s = 1};
	struct why why = {};
	int err;

	cli_parse(&argp, CLI_INTERFACE, argc, argv, cli, &s);
	say_capture_libraries(cli);
	err = stats(&s, &why);
	if (err)
		say_error(cli, cli->ifname, "%s", why.text[0] ? why.text : strerror(-err));
	return err;
}
