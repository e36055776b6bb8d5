// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* synward top: a live screen of one guard. */
#include <arpa/inet.h>
#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "path.h"
#include "xdp.h"
#include "top_data.h"

#define PERIOD_NS 1000000000ULL
#define LINES_LEAST 12
#define COLUMNS_LEAST 60
#define LABEL 10 /* columns of a rate's name */
#define FIGURE 11
#define VERDICT 22
#define SERVICE 20

struct screen {
	struct cli *cli;
	struct top top;
	bool utf8;
	int line; /* to be written next */
};

static bool has_room(const struct screen *s, int lines)
{
	return s->line + lines <= LINES;
}

static void title(struct screen *s, const char *format, const char *argument)
{
	if (!has_room(s, 2))
		return;
	s->line++;
	attron(A_BOLD);
	mvprintw(s->line++, 0, format, argument);
	attroff(A_BOLD);
}

static void draw_head(struct screen *s)
{
	const struct top *t = &s->top;
	char left[160], age[48] = "", clock[16];
	time_t now = time(NULL);
	struct tm tm;

	if (t->has_keys)
		snprintf(age, sizeof(age), "  key age %llu min", t->keys.age_s / 60);
	snprintf(left, sizeof(left), " synward top  %s  %s path, %s%s", t->guard.ifname,
		 path_name(t->info.path), xdp_mode_name(t->info.xdp_mode), age);
	strftime(clock, sizeof(clock), "%H:%M:%S ", localtime_r(&now, &tm));
	attron(A_REVERSE);
	mvprintw(0, 0, "%-*.*s%s", COLS - 9, COLS - 9, left, clock);
	attroff(A_REVERSE);
	s->line = 1;
}

/* Newest at the right end; height by the largest of what is shown. */
static void draw_sparkline(const struct screen *s, const double *history, int count, int width)
{
	static const char *const utf8[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const ascii[] = {" ", ".", ":", "-", "=", "+", "*", "%", "#"};
	double most = 0;
	int i, height;

	if (count > width)
		count = width;
	for (i = 0; i < count; i++)
		most = history[i] > most ? history[i] : most;
	for (i = count - 1; i >= 0; i--) {
		height = most > 0 ? (int)(history[i] / most * 8 + 0.5) : 0;
		if (!height && history[i] > 0)
			height = 1;
		addstr((s->utf8 ? utf8 : ascii)[height]);
	}
}

static void draw_rates(struct screen *s)
{
	const struct top *t = &s->top;
	int column, width = COLS - LABEL - FIGURE - 3;

	title(s, "%-21s   past seconds", "a second");
	for (column = 0; column < NAMES_COLUMNS && has_room(s, 1); column++) {
		mvprintw(s->line++, 0, "%-*s%*.0f   ", LABEL, names_column[column].name, FIGURE,
			 t->history[column][0]);
		draw_sparkline(s, t->history[column], t->history_count, width);
	}
}

/* Under attack first, then by SYNs. */
static bool comes_before(const struct top_service *a, const struct top_service *b)
{
	if (a->view.state.armed != b->view.state.armed)
		return a->view.state.armed;
	return a->syns[0] > b->syns[0];
}

static const char *describe_mode(const struct service_view *view)
{
	if (view->service.mode != SW_MODE_AUTO)
		return services_mode_name(view->service.mode);
	return view->state.armed ? "auto, armed" : "auto, idle";
}

static void draw_service(struct screen *s, const struct top_service *service)
{
	bool armed = service->view.state.armed;

	if (armed)
		attron(A_BOLD);
	mvprintw(s->line++, 0, "%-*.*s  %-11s%*.0f   ", SERVICE, SERVICE,
		 service->view.service.name, describe_mode(&service->view), FIGURE,
		 service->syns[0]);
	if (armed)
		attroff(A_BOLD);
	draw_sparkline(s, service->syns, s->top.history_count, COLS - SERVICE - FIGURE - 16);
}

/* One that is always on says no more than the rates do. */
static void draw_services(struct screen *s, int most)
{
	const struct top *t = &s->top;
	const struct top_service *order[SW_SERVICES], *moved;
	char text[48];
	int i, at;

	if (!t->services || (t->services == 1 && t->service[0].view.service.mode == SW_MODE_ALWAYS))
		return;
	for (i = 0; i < t->services; i++) {
		moved = &t->service[i];
		for (at = i; at && comes_before(moved, order[at - 1]); at--)
			order[at] = order[at - 1];
		order[at] = moved;
	}
	if (most > t->services)
		most = t->services;
	snprintf(text, sizeof(text), "services%s: SYNs a second",
		 most < t->services ? ", the busiest" : "");
	title(s, "%s", text);
	for (i = 0; i < most && has_room(s, 1); i++)
		draw_service(s, order[i]);
}

static void draw_bar(const struct screen *s, double share, int width)
{
	int filled = (int)(share * width + 0.5), i;

	for (i = 0; i < filled; i++)
		addstr(s->utf8 ? "█" : "#");
}

/* The largest first, as many as there is room for but for what is kept. */
static void draw_verdicts(struct screen *s, int kept)
{
	const struct top *t = &s->top;
	bool shown[SW_REASON_COUNT] = {};
	double rate, total = 0;
	int i, best;

	for (i = 0; i < SW_REASON_COUNT; i++)
		total += top_verdict_rate(t, i);
	title(s, "%s", "verdicts a second");
	while (has_room(s, 1 + kept)) {
		for (best = -1, i = 0; i < SW_REASON_COUNT; i++) {
			if (!shown[i] && top_verdict_rate(t, i) > 0 &&
			    (best < 0 || top_verdict_rate(t, i) > top_verdict_rate(t, best)))
				best = i;
		}
		if (best < 0)
			return;
		shown[best] = true;
		rate = top_verdict_rate(t, best);
		mvprintw(s->line++, 0, "%-*s%-5s%*.0f   ", VERDICT, names_verdict[best].name,
			 names_action(names_verdict[best].action), FIGURE, rate);
		draw_bar(s, rate / total, COLS - VERDICT - FIGURE - 9);
	}
}

static void draw_sources(struct screen *s)
{
	const struct top *t = &s->top;
	const struct top_source *source;
	double unproven = top_unproven_rate(t), share;
	char address[INET6_ADDRSTRLEN];

	if (!t->has_sources) {
		title(s, "sources: %s", t->why_sources.text);
		return;
	}
	title(s, "%s", "sources of what is no connection yet, sampled");
	for (source = t->source; source < t->source + TOP_SOURCES && has_room(s, 1); source++) {
		__u64 words[2] = {source->addr_hi, source->addr_lo};

		if (!(source->weight > 0))
			return;
		share = source->weight / t->source_weight;
		inet_ntop(source->v6 ? AF_INET6 : AF_INET, source->v6 ? words : words + 1, address,
			  sizeof(address));
		mvprintw(s->line++, 0, "%s%-*s%5.1f %%%*.0f", address,
			 (int)(VERDICT + 5 - strlen(address)), source->v6 ? "/48" : "/24",
			 share * 100, FIGURE, share * unproven);
	}
}

static void draw(struct screen *s)
{
	erase();
	s->line = 0;
	if (LINES < LINES_LEAST || COLS < COLUMNS_LEAST) {
		mvprintw(0, 0, "%dx%d is too small", COLS, LINES);
	} else {
		draw_head(s);
		draw_rates(s);
		draw_services(s, LINES >= 30 ? LINES / 5 : 3);
		draw_verdicts(s, LINES - s->line >= 12 ? 6 : 4);
		draw_sources(s);
	}
	refresh();
}

static int follow(struct screen *s, struct why *why)
{
	__u64 next_ns = 0, now_ns;
	int key, err = 0;

	while (!cli_interrupted) {
		now_ns = tracer_clock_ns(CLOCK_MONOTONIC);
		if (now_ns >= next_ns) {
			err = top_read(&s->top, why);
			if (err)
				return err;
			next_ns = now_ns + PERIOD_NS;
		}
		draw(s);
		timeout((int)((next_ns - now_ns) / 1000000) + 1);
		key = getch();
		/* What was under way for the old size may have spoilt what curses takes for drawn. */
		if (key == KEY_RESIZE)
			clearok(curscr, TRUE);
		if (key == 'q' || key == 'Q' || (key == ERR && !isatty(STDIN_FILENO)))
			break;
	}
	return 0;
}

static int show(struct screen *s, struct why *why)
{
	SCREEN *terminal = newterm(NULL, stdout, stdin);
	int err;

	if (!terminal)
		return why_is(why, -ENOTTY, "TERM=%s is no terminal known here",
			      getenv("TERM") ?: "");
	cli_end_on_signals();
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	err = follow(s, why);
	endwin();
	delscreen(terminal);
	return err;
}

int cmd_top(int argc, char **argv, struct cli *cli)
{
	static const struct argp argp = {
		.args_doc = "[IFACE]",
		.doc = "A live screen of one guard: rates and their past, verdicts, and the "
		       "prefixes "
		       "that what is no connection comes from. q ends it.",
	};
	static struct screen s; /* larger than a stack likes */
	struct why why = {};
	int err;

	s.cli = cli;
	setlocale(LC_CTYPE, "");
	s.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	cli_parse(&argp, CLI_MAYBE_INTERFACE, argc, argv, cli, &s);
	say_capture_libraries(cli);
	names_init();
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		err = why_is(&why, -ENOTTY, "top needs a terminal; 'synward stats' writes lines");
	else
		err = top_open(&s.top, cli->ifname, &why);
	if (!err) {
		err = show(&s, &why);
		top_close(&s.top);
	}
	if (err)
		say_error(cli, cli->ifname, "%s", why.text[0] ? why.text : strerror(-err));
	return err;
}
