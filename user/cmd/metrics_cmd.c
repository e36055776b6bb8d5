// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* synward metrics: for Prometheus, by HTTP or once, for node_exporter's textfile collector. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "config_value.h"
#include "metrics.h"
#include "metrics_http.h"
#include "names.h"

#define LISTEN_DEFAULT "127.0.0.1:9879"

struct metrics {
	struct cli *cli;
	const char *output; /* NULL: stdout */
	bool once;
	struct config_synward synward; /* metrics: where to listen */
	struct loop loop;
};

enum { OPTION_LISTEN = 256, OPTION_ONCE };

static const struct argp_option options[] = {
	{"listen", OPTION_LISTEN, "ADDR:PORT", 0,
	 "Answer GET /metrics and /healthz there (default: " LISTEN_DEFAULT ")", 0},
	{"once", OPTION_ONCE, NULL, 0, "Print them once and end", 0},
	{"output", 'o', "FILE", 0, "Once, into FILE, which is replaced in one step", 0},
	{}};

static int set_listen(struct metrics *m, const char *text)
{
	const struct config_key *key;

	for (key = config_keys_synward; strcmp(key->name, "metrics"); key++)
		;
	return config_value(key, text, &m->synward);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct metrics *m = state->input;

	switch (key) {
	case OPTION_LISTEN:
		if (set_listen(m, arg) || m->synward.metrics.any.sa_family == AF_UNSPEC)
			argp_error(state, "no ADDRESS:PORT or [ADDRESS]:PORT: '%s'", arg);
		return 0;
	case OPTION_ONCE:
		m->once = true;
		return 0;
	case 'o':
		m->once = true;
		m->output = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int write_file(const char *path, struct why *why)
{
	char temporary[4096];
	int fd, err;
	FILE *f;

	if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
		return why_is(why, -ENAMETOOLONG, "cannot write %s: the name is too long", path);
	fd = mkstemp(temporary);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f)
		return why_is(why, -errno, "cannot write beside %s: %s", path, strerror(errno));
	err = metrics_write(f, NULL, why);
	/* Readers are other users; a half-written file is seen by none. */
	if (!err && (fchmod(fd, 0644) || fflush(f) || fsync(fd)))
		err = why_is(why, -errno, "cannot write %s: %s", temporary, strerror(errno));
	if (fclose(f) && !err)
		err = why_is(why, -errno, "cannot write %s: %s", temporary, strerror(errno));
	if (!err && rename(temporary, path))
		err = why_is(why, -errno, "cannot replace %s: %s", path, strerror(errno));
	if (err)
		unlink(temporary);
	return err;
}

static int write_stdout(struct why *why)
{
	int err = metrics_write(stdout, NULL, why);

	if (!err && fflush(stdout))
		err = why_is(why, -errno, "cannot write: %s", strerror(errno));
	return err;
}

static int end(void *arg)
{
	loop_stop(arg);
	return 0;
}

static int watch_signals(struct loop *loop)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : loop_add(loop, fd, end, loop);
}

static int serve(struct metrics *m, struct why *why)
{
	struct metrics_http *http;
	int err = loop_open(&m->loop);

	if (!err)
		err = watch_signals(&m->loop);
	if (err)
		return why_is(why, err, "cannot prepare the event loop: %s", strerror(-err));
	err = metrics_http_open(&m->loop, &m->synward.metrics.any, NULL, &http, why);
	if (err)
		return err;
	err = loop_run(&m->loop);
	metrics_http_close(http);
	loop_close(&m->loop);
	return err ? why_is(why, err, "the event loop failed: %s", strerror(-err)) : 0;
}

int cmd_metrics(int argc, char **argv, struct cli *cli)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.doc = "The guards of this network namespace as Prometheus reads them: by HTTP, or "
		       "once for the textfile collector. 'synward run' does it too, with 'metrics "
		       "=' "
		       "in its file.",
	};
	struct metrics m = {.cli = cli};
	struct why why = {};
	int err;

	set_listen(&m, LISTEN_DEFAULT);
	cli_parse(&argp, CLI_NO_INTERFACE, argc, argv, cli, &m);
	say_capture_libraries(cli);
	names_init();
	if (m.output)
		err = write_file(m.output, &why);
	else
		err = m.once ? write_stdout(&why) : serve(&m, &why);
	if (err)
		say_error(cli, NULL, "%s", why.text[0] ? why.text : strerror(-err));
	return err;
}
