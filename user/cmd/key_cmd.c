// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* synward key status, synward key rotate, synward key generate */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "counters.h"
#include "keys.h"
#include "path.h"
#include "pins.h"
#include "settings.h"
#include "xdp.h"

struct key_args {
	struct cli *cli;
	const struct verb *verb;
	const char *argument; /* an interface, or a file */
	const char *key_file;
	bool random;
	__u64 netns_inode;
	struct json_object *list;
	int failed; /* the last error, already said */
};

/* A guard's maps that keys are about. */
struct handle {
	const struct guard *guard;
	struct sw_info info;
	struct host_maps maps;
	int secrets_fd, config_fd;
	__u64 offset_ns;
};

static const struct verb {
	const char *name;
	int (*run)(struct key_args *a, struct why *why);
	int (*each)(struct key_args *a, const struct handle *h, struct why *why);
} verbs[];

enum { OPT_KEY_FILE = 256, OPT_RANDOM };

static const struct argp_option options[] = {
	{"key-file", OPT_KEY_FILE, "FILE", 0,
	 "rotate: the secret of the group (for keys that are shared already: " KEYFILE_DEFAULT_PATH
	 ")",
	 0},
	{"random", OPT_RANDOM, NULL, 0, "rotate: leave the group, keys of this machine's own", 0},
	{}};

static const struct verb *find_verb(const char *name)
{
	const struct verb *v;

	for (v = verbs; v->name; v++) {
		if (!strcmp(v->name, name))
			return v;
	}
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct key_args *a = state->input;

	switch (key) {
	case OPT_KEY_FILE:
		a->key_file = arg;
		return 0;
	case OPT_RANDOM:
		a->random = true;
		return 0;
	case ARGP_KEY_ARG:
		if (!a->verb)
			a->verb = find_verb(arg);
		else if (!a->argument)
			a->argument = arg;
		else
			argp_error(state, "too many arguments");
		if (!a->verb)
			argp_error(state, "status, rotate or generate, not '%s'", arg);
		return 0;
	case ARGP_KEY_END:
		if (!a->verb)
			argp_error(state, "status, rotate or generate?");
		if (a->random && a->key_file)
			argp_error(state, "--random or --key-file, not both");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int open_handle(const struct guard *g, struct handle *ret, struct why *why)
{
	struct handle h = {.guard = g};
	struct xdp_state xdp;
	int err, prog_fd;

	err = guard_info(g, &h.info);
	if (err || h.info.abi != SW_ABI)
		return why_is(why, err ?: -EPROTO, "%s",
			      err ? "is guarded by half; attach again"
				  : "is guarded by another version; attach again");
	err = xdp_look(g, &xdp, why);
	if (err)
		return err;
	prog_fd = xdp.ours_count ? xdp_open_ours(&xdp) : -ENOENT;
	err = prog_fd < 0 ? prog_fd : host_maps_of(prog_fd, &h.maps);
	if (prog_fd >= 0)
		close(prog_fd);
	if (err)
		return why_is(why, err, "cannot reach the guard's keys: %s%s", strerror(-err),
			      err == -EPERM ? "; that needs CAP_SYS_ADMIN" : "");
	h.secrets_fd = host_maps_fd(&h.maps, "secrets");
	h.config_fd = host_maps_fd(&h.maps, "config");
	err = h.secrets_fd < 0 ? h.secrets_fd : settings_epoch_offset(h.config_fd, &h.offset_ns);
	if (err) {
		host_maps_close(&h.maps);
		return why_is(why, err, "cannot read the guard's maps: %s", strerror(-err));
	}
	*ret = h;
	return 0;
}

static void put_text(struct json_object *obj, const char *key, const char *text)
{
	json_object_object_add(obj, key, json_object_new_string(text));
}

static void put_number(struct json_object *obj, const char *key, __u64 value)
{
	json_object_object_add(obj, key, json_object_new_uint64(value));
}

static void done(struct key_args *a, const struct handle *h, struct json_object *obj,
		 const char *result)
{
	put_text(obj, "interface", h->guard->ifname);
	put_text(obj, "result", result);
	json_object_array_add(a->list, obj);
	if (!a->cli->json)
		printf("synward: %s: %s\n", h->guard->ifname, result);
}

/* Refused ACKs with a good cookie from the future, since attach. */
static __u64 ahead(const struct guard *g)
{
	struct sw_counters counters = {};
	struct why ignored;
	int fd = counters_open(g, &ignored);

	if (fd >= 0) {
		counters_read(fd, &counters);
		close(fd);
	}
	return counters.event[SW_EV_COOKIE_AHEAD];
}

static int status_one(struct key_args *a, const struct handle *h, struct why *why)
{
	__u64 cookies_ahead = ahead(h->guard);
	struct json_object *obj;
	struct keys_state state;
	const char *source, *what;
	int err = keys_look(h->secrets_fd, h->offset_ns, &state);

	if (err)
		return why_is(why, err, "cannot read the keys: %s", strerror(-err));
	obj = json_object_new_object();
	source = h->info.path == SW_PATH_COMPAT   ? "kernel"
		 : state.source == SW_KEYS_SHARED ? "shared"
						  : "random";
	put_text(obj, "interface", h->guard->ifname);
	put_text(obj, "source", source);
	put_number(obj, "epoch", state.epoch);
	put_number(obj, "age_s", state.age_s);
	put_number(obj, "next_s", state.due_s);
	json_object_object_add(
		obj, "clock_off_s",
		json_object_new_double((long long)(state.clock_off_s * 1000) / 1000.0));
	json_object_object_add(obj, "clock_synchronised",
			       json_object_new_boolean(keys_clock_synchronised()));
	json_object_object_add(obj, "cookies_ahead", json_object_new_uint64(cookies_ahead));
	what = keys_advice(&state, cookies_ahead);
	if (what)
		put_text(obj, "advice", what);
	json_object_array_add(a->list, obj);
	if (a->cli->json)
		return 0;
	printf("%s\n  source       %s\n  epoch        %u\n  key age, s   %llu\n", h->guard->ifname,
	       source, state.epoch, state.age_s);
	if (state.due_s)
		printf("  next in, s   %llu\n", state.due_s);
	if (what)
		printf("  what to do   %s\n", what);
	return 0;
}

static int rotate_random(struct key_args *a, const struct handle *h, struct why *why)
{
	struct json_object *obj;
	struct keys_state state;
	char text[64];
	__u32 wait_s;
	int err = keys_rotate(h->secrets_fd, h->offset_ns, &wait_s);

	if (err == -EAGAIN)
		return why_is(why, err,
			      "the key is so fresh that cookies of the one before are still good; "
			      "again in %u s",
			      wait_s);
	if (!err)
		err = keys_look(h->secrets_fd, h->offset_ns, &state);
	if (err)
		return why_is(why, err, "cannot write the keys: %s", strerror(-err));
	obj = json_object_new_object();
	put_number(obj, "next_s", state.due_s);
	snprintf(text, sizeof(text), "a new key comes into use in %llu s", state.due_s);
	done(a, h, obj, text);
	return 0;
}

static const char *const changes[] = {
	[KEYRING_SAME] = "the shared keys are as they should be",
	[KEYRING_NEXT] = "the next period's shared key is in its place",
	[KEYRING_JOINS] = "shared keys come into use with the next epoch",
};

static int rotate_shared(struct key_args *a, const struct handle *h, struct why *why)
{
	struct keyfile_secret secret;
	struct json_object *obj;
	struct keys_news news;
	int err;

	if (h->info.path == SW_PATH_COMPAT)
		return why_is(why, -EOPNOTSUPP,
			      "the compat path uses the kernel's cookies, whose keys no other "
			      "machine can have");
	err = keyfile_read(a->key_file ?: KEYFILE_DEFAULT_PATH, &secret, why);
	if (err)
		return err;
	err = keys_follow(h->secrets_fd, h->config_fd, &secret, &news);
	keyfile_wipe(&secret);
	if (err)
		return why_is(why, err, "cannot write the keys: %s", strerror(-err));
	if (news.stepped_s)
		say_warning(a->cli, h->guard->ifname, "the clock of day was set by %+.1f s%s",
			    news.stepped_s,
			    fabs(news.stepped_s) > KEYS_STEP_HARMLESS_S
				    ? ": handshakes that were under way are lost"
				    : "");
	if (!keys_clock_synchronised())
		say_warning(a->cli, h->guard->ifname,
			    "nothing keeps this machine's clock right, and shared keys count on "
			    "it; run chrony or systemd-timesyncd");
	obj = json_object_new_object();
	json_object_object_add(obj, "stepped_s", json_object_new_double(news.stepped_s));
	done(a, h, obj, changes[news.change]);
	return 0;
}

static int rotate_one(struct key_args *a, const struct handle *h, struct why *why)
{
	struct keys_state state;
	int err = keys_look(h->secrets_fd, h->offset_ns, &state);

	if (err)
		return why_is(why, err, "cannot read the keys: %s", strerror(-err));
	if (a->key_file || (state.source == SW_KEYS_SHARED && !a->random))
		return rotate_shared(a, h, why);
	return rotate_random(a, h, why);
}

/* Goes on after a failure: the other guards' keys have nothing to do with it. */
static int each_guard(const struct guard *g, void *arg)
{
	struct key_args *a = arg;
	struct why why = {};
	struct handle h;
	int err;

	if (g->netns_inode != a->netns_inode || !g->ifname[0] ||
	    (a->argument && strcmp(a->argument, g->ifname)))
		return 0;
	err = open_handle(g, &h, &why);
	if (!err) {
		err = a->verb->each(a, &h, &why);
		host_maps_close(&h.maps);
	}
	if (err) {
		say_error(a->cli, g->ifname, "%s", why.text);
		a->failed = err;
	}
	return 0;
}

static int run_each(struct key_args *a, struct why *why)
{
	struct guard g;
	int err, lock;

	err = a->argument ? guard_by_name(a->argument, &g, why) : 0;
	if (!err)
		err = guard_netns(&a->netns_inode);
	if (err)
		return err;
	lock = pins_lock(why);
	if (lock < 0)
		return lock;
	err = guard_each(each_guard, a);
	close(lock);
	if (err)
		return why_is(why, err, "cannot look into " GUARD_ROOT ": %s", strerror(-err));
	if (a->failed)
		return 0;
	if (!json_object_array_length(a->list) && a->argument)
		return why_is(why, -ENOENT, "is not guarded; 'synward attach %s' does that",
			      a->argument);
	if (a->cli->json)
		puts(json_object_to_json_string_ext(a->list, JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (!json_object_array_length(a->list))
		puts("synward: nothing is guarded");
	return 0;
}

static int generate(struct key_args *a, struct why *why)
{
	struct json_object *obj;
	const char *path = a->argument ?: KEYFILE_DEFAULT_PATH;
	int err = keyfile_generate(path, why);

	a->argument = NULL; /* no interface, for the message */
	if (err)
		return err;
	obj = json_object_new_object();
	put_text(obj, "file", path);
	say_done(a->cli, obj, "synward: %s: a new secret, readable by root alone", path);
	return 0;
}

static const struct verb verbs[] = {{"status", run_each, status_one},
				    {"rotate", run_each, rotate_one},
				    {"generate", generate, NULL},
				    {}};

int cmd_key(int argc, char **argv, struct cli *cli)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "status [IFACE]\nrotate [IFACE]\ngenerate [FILE]",
		.doc = "status: age and source of the cookie keys; never the keys.\n"
		       "rotate: a new key with the next epoch, at most 36 s from now; cookies that "
		       "are out stay good. Of shared keys: brings the next period's in, to be done "
		       "hourly where 'synward run' does not see to it.\n"
		       "generate: a secret for a group of machines, into FILE (by "
		       "default " KEYFILE_DEFAULT_PATH ").",
	};
	struct key_args a = {.cli = cli, .list = json_object_new_array()};
	struct why why = {};
	int err;

	cli_parse(&argp, CLI_NO_INTERFACE, argc, argv, cli, &a);
	say_capture_libraries(cli);
	err = a.verb->run(&a, &why);
	if (err)
		say_error(cli, a.argument, "%s", why.text[0] ? why.text : strerror(-err));
	json_object_put(a.list);
	return err ?: a.failed;
}
