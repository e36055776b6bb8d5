// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* synward run: the daemon. Its guards need it for nothing but what changes. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "cli.h"
#include "config.h"
#include "control.h"
#include "loop.h"
#include "members.h"
#include "metrics_http.h"
#include "monitor.h"
#include "names.h"
#include "policy.h"
#include "privileges.h"

#define TICK_MS 5000     /* failed interfaces, changed routes and rules, keys, watchdog */
#define EVENTS_MS 500    /* between looks at what the guards tell */
#define REFRESH_SHARE 20 /* a refresh takes at most one part in so many of the time */

struct daemon {
	struct cli *cli;
	const char *path;
	struct log log;
	struct loop loop;
	struct helper helper;
	struct monitor monitor;
	struct control control;
	struct metrics_http *http; /* NULL: off */
	struct hooks_look look;
	struct members members;
	struct config *config;
	int signal_fd;
	__u64 refresh_after_ms;
	char status[512]; /* as told last */
};

static const struct argp_option options[] = {
	{"config", 'c', "FILE", 0, "The configuration (default: " CONFIG_DEFAULT_PATH ")", 0}, {}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct daemon *d = state->input;

	switch (key) {
	case 'c':
		d->path = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static __u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

static void keep_alive(void *arg)
{
	sd_notify(0, "WATCHDOG=1");
}

/* state: "READY=1\n" or ""; without it only what is new is told. */
static void tell_status(struct daemon *d, const char *state)
{
	char text[sizeof(d->status)];

	members_text(&d->members, text, sizeof(text));
	if (!state[0] && !strcmp(text, d->status))
		return;
	strcpy(d->status, text);
	sd_notifyf(0, "%sSTATUS=%s", state, text);
}

static void choose_log(struct daemon *d, const struct config *config)
{
	d->log.json = d->cli->json || config->synward.log == CONFIG_LOG_JSON;
}

static int load(struct daemon *d, struct config **ret, struct why *why)
{
	struct config_fault fault;
	int err = config_load(d->path, ret, &fault);

	if (err)
		return config_fault_say(d->path, &fault, err, why);
	err = policy_load(d->path, *ret, why);
	if (err)
		config_free(*ret);
	return err;
}

static bool is_same_endpoint(const config_endpoint *a, const config_endpoint *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* Where config wants Prometheus answered, beside where it is answered now; *ret NULL: nowhere. */
static int open_metrics(struct daemon *d, const struct config *config, struct metrics_http **ret,
			struct why *why)
{
	const config_endpoint *where = &config->synward.metrics;

	*ret = NULL;
	if (where->any.sa_family == AF_UNSPEC)
		return 0;
	return metrics_http_open(&d->loop, &where->any, &d->look, ret, why);
}

static int reload_file(struct daemon *d, struct why *why)
{
	struct metrics_http *http = NULL;
	struct config *next;
	bool moved;
	int err;

	err = load(d, &next, why);
	if (err)
		return err;
	moved = !is_same_endpoint(&next->synward.metrics, &d->config->synward.metrics);
	if (moved)
		err = open_metrics(d, next, &http, why);
	if (!err)
		err = members_apply(&d->members, next, why);
	if (err) {
		metrics_http_close(http);
		config_free(next);
		return err;
	}
	if (moved) {
		metrics_http_close(d->http);
		d->http = http;
	}
	config_free(d->config);
	d->config = next;
	choose_log(d, next);
	return 0;
}

static int reload(struct daemon *d, struct why *why)
{
	char text[512];
	int err;

	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", now_ms() * 1000);
	err = reload_file(d, why);
	members_text(&d->members, text, sizeof(text));
	if (err)
		log_say(&d->log, LOG_ERR, NULL, "reload refused, nothing changed: %s", why->text);
	else
		log_say(&d->log, LOG_NOTICE, NULL, "reloaded: %s", text);
	tell_status(d, "READY=1\n");
	return err ? err : why_is(why, 0, "%s", text);
}

static int serve(void *arg, const char *request, struct why *why)
{
	if (!strcmp(request, "reload"))
		return reload(arg, why);
	return why_is(why, -EINVAL, "'synward run' knows no request '%.32s'", request);
}

static int take_signal(void *arg)
{
	struct daemon *d = arg;
	struct signalfd_siginfo info;
	struct why why = {};

	if (read(d->signal_fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo == SIGHUP)
		reload(d, &why);
	else
		loop_stop(&d->loop);
	return 0;
}

/* It speaks only when asked: this is its end. Whoever started us starts both anew. */
static int helper_gone(void *arg)
{
	return -EPIPE;
}

static int links_changed(void *arg)
{
	struct daemon *d = arg;

	members_follow(&d->members);
	tell_status(d, "");
	return 0;
}

static void refresh(struct daemon *d)
{
	struct monitor *m = &d->monitor;
	__u64 began_ms = now_ms();

	if ((!m->routes_changed && !m->rules_changed) || began_ms < d->refresh_after_ms)
		return;
	m->routes_changed = m->rules_changed = false;
	members_refresh(&d->members);
	d->refresh_after_ms = now_ms() + (now_ms() - began_ms) * REFRESH_SHARE;
}

static int tick(void *arg)
{
	struct daemon *d = arg;

	keep_alive(NULL);
	members_check(&d->members);
	members_follow(&d->members);
	refresh(d);
	members_look_at_handovers(&d->members);
	members_rotate(&d->members);
	tell_status(d, "");
	return 0;
}

static int tell_events(void *arg)
{
	struct daemon *d = arg;

	members_tell_events(&d->members);
	return 0;
}

static int watch_signals(struct daemon *d)
{
	sigset_t set;

	/* Whoever read the log may go: no reason to end, and without a word at that. */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return d->signal_fd < 0 ? -errno : loop_add(&d->loop, d->signal_fd, take_signal, d);
}

/* The helper first: it must have no descriptor of ours and all our privileges. */
static int prepare(struct daemon *d, struct why *why)
{
	int err = helper_start(&d->helper, &d->log);

	if (err)
		return why_is(why, err, "cannot start the helper process: %s", strerror(-err));
	d->look = (struct hooks_look){helper_look, &d->helper};
	err = loop_open(&d->loop);
	if (!err)
		err = watch_signals(d);
	if (!err)
		err = monitor_open(&d->monitor, &d->loop, links_changed, d);
	if (!err)
		err = loop_add(&d->loop, d->helper.fd, helper_gone, d);
	if (!err)
		err = loop_every(&d->loop, TICK_MS, tick, d);
	if (err >= 0)
		err = loop_every(&d->loop, EVENTS_MS, tell_events, d);
	if (err < 0)
		return why_is(why, err, "cannot prepare the event loop: %s", strerror(-err));
	err = helper_check_machine(&d->helper, why);
	if (!err)
		err = control_open(&d->control, &d->loop, serve, d, why);
	if (!err)
		err = open_metrics(d, d->config, &d->http, why);
	return err ? err : privileges_drop(why);
}

static int run(struct daemon *d, struct why *why)
{
	int err;

	err = members_apply(&d->members, d->config, why);
	if (err)
		return err;
	tell_status(d, "READY=1\n");
	log_say(&d->log, LOG_NOTICE, NULL, "ready");
	err = loop_run(&d->loop);
	sd_notify(0, "STOPPING=1\nSTATUS=stopping");
	if (err == -EPIPE)
		return why_is(why, err, "the helper process died; the guards stay on");
	if (err)
		return why_is(why, err, "the event loop failed: %s", strerror(-err));
	if (d->config->synward.on_stop == CONFIG_ON_STOP_DETACH)
		members_remove(&d->members);
	log_say(&d->log, LOG_NOTICE, NULL, "stopped%s",
		d->config->synward.on_stop == CONFIG_ON_STOP_DETACH ? "" : "; the guards stay on");
	return 0;
}

/* What a process's end closes by itself is left to it; sockets in the file system are not. */
static void finish(struct daemon *d)
{
	control_close(&d->control);
	metrics_http_close(d->http);
	members_close(&d->members);
	helper_stop(&d->helper);
	config_free(d->config);
}

int cmd_run(int argc, char **argv, struct cli *cli)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.doc = "Guards the interfaces a configuration file names, in the foreground, and "
		       "sees to them: those that come later too, changed routes and firewall "
		       "rules, new keys. SIGHUP or 'synward reload' has it read the file again, "
		       "SIGTERM ends it; the guards stay on.",
	};
	static struct daemon d; /* its members alone are larger than a stack likes */
	struct why why = {};
	int err;

	d = (struct daemon){.cli = cli, .path = CONFIG_DEFAULT_PATH};
	d.members = (struct members){
		.log = &d.log, .helper = &d.helper, .alive = keep_alive, .arg = &d};
	cli_parse(&argp, CLI_NO_INTERFACE, argc, argv, cli, &d);
	say_capture_libraries(cli);
	names_init();
	log_open(&d.log);
	d.log.json = cli->json;
	err = load(&d, &d.config, &why);
	if (!err) {
		choose_log(&d, d.config);
		err = prepare(&d, &why);
	}
	if (!err)
		err = run(&d, &why);
	if (err)
		log_say(&d.log, LOG_ERR, NULL, "%s", why.text[0] ? why.text : strerror(-err));
	if (d.control.loop)
		finish(&d);
	return err;
}
