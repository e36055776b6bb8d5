// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "config_value.h"
#include "path.h"
#include "setup.h"
#include "tc.h"

struct attach {
	struct cli *cli;
	const char *file;        /* a configuration; NULL: options say it all */
	bool options;            /* some were given */
	struct config *services; /* one service, "all", as the options have it */
	struct setup setup;
};

/* Without a letter. */
enum {
	OPT_PATH = 256,
	OPT_SYNCOOKIES,
	OPT_TO,
	OPT_FLOWS,
	OPT_FORWARD,
	OPT_KEY_FILE,
	OPT_SERVICE, /* and those behind it: keys of a service, by the same name */
	OPT_END = OPT_SERVICE + 64
};

static const struct argp_option options[] = {
	{"config", 'c', "FILE", 0, "As this configuration has it in [interface IFACE]", 0},
	{"ports", 'p', "LIST|auto", 0,
	 "Ports to guard, as 80,443,8000-8100 (default: auto, whatever listens)", 0},
	{"xdp", 'x', "MODE", 0,
	 "auto, native or generic (auto: native where replies leave at once)", 0},
	{"attach", 'a', "KIND", 0,
	 "libxdp: chain with other XDP programs where the kernel can; "
	 "link: alone (default: libxdp)",
	 0},
	{"path", OPT_PATH, "PATH", 0,
	 "auto, host, compat or proxy: how a connection gets its socket (auto: proxy with --to, "
	 "--flows or --forward, or where a port to guard is redirected, else host or compat, the "
	 "best that can go here). On a guarded interface it can change to proxy alone",
	 0},
	{"to", OPT_TO, "PREFIX,...", 0,
	 "On the proxy path: the servers to shield (default: the addresses of this machine)", 0},
	{"flows", OPT_FLOWS, "N", 0,
	 "On the proxy path: how many connections can be translated at once, as 65536, 64k or 1M "
	 "(default: 1M, 268 MB)",
	 0},
	{"forward", OPT_FORWARD, "SERVER_IFACE", 0,
	 "On the proxy path: established connections to servers behind SERVER_IFACE that are just "
	 "routed are sent on by XDP, without the stack",
	 0},
	{"syncookies", OPT_SYNCOOKIES, "set|refuse", 0,
	 "On the compat path: set net.ipv4.tcp_syncookies to 2 and put it back on detach, or "
	 "refuse to attach where it is not 2 (default: set)",
	 0},
	{"mode", OPT_SERVICE, "MODE", 0,
	 "off, monitor (count only), always, or auto: cookies while under attack (default: always)",
	 0},
	{"syn-start", OPT_SERVICE + 1, "N", 0,
	 "auto: arms at N SYNs a second (default: 2000; 0: never)", 0},
	{"syn-end", OPT_SERVICE + 2, "N", 0,
	 "auto: may disarm below N SYNs a second (default: 1000)", 0},
	{"half-open-start", OPT_SERVICE + 3, "N", 0,
	 "auto: arms at N half-open sockets of a listener (default: 256; 0: never)", 0},
	{"half-open-end", OPT_SERVICE + 4, "N", 0,
	 "auto: may disarm below N half-open sockets (default: 64)", 0},
	{"hold", OPT_SERVICE + 5, "TIME", 0,
	 "auto: disarms after such a time below both (default: 10s)", 0},
	{"synack-limit", OPT_SERVICE + 6, "N", 0,
	 "N SYN-ACKs a second at most to one source prefix, /24 or /64 (default: 0, no limit)", 0},
	{"handshake-limit", OPT_SERVICE + 7, "N", 0,
	 "N handshakes a second at most from one address (default: 0, no limit)", 0},
	{"allow", OPT_SERVICE + 8, "FILE", 0, "SYNs from the prefixes in FILE go to the kernel", 0},
	{"deny", OPT_SERVICE + 9, "FILE", 0, "SYNs from the prefixes in FILE are dropped", 0},
	{"key-file", OPT_KEY_FILE, "FILE", 0,
	 "Cookie keys from the secret in FILE, which a group of machines shares; "
	 "see 'synward key --help'",
	 0},
	{}};

struct word {
	const char *name;
	int value;
};

static const struct word modes[] = {
	{"auto", SETUP_MODE_AUTO}, {"native", SW_XDP_NATIVE}, {"generic", SW_XDP_GENERIC}, {}};
static const struct word kinds[] = {{"libxdp", SW_ATTACH_LIBXDP}, {"link", SW_ATTACH_LINK}, {}};

static const struct word paths[] = {{"auto", PATH_AUTO},
				    {"host", SW_PATH_HOST},
				    {"compat", SW_PATH_COMPAT},
				    {"proxy", SW_PATH_PROXY},
				    {}};
static const struct word syncookies[] = {{"set", false}, {"refuse", true}, {}};

static int find_word(struct argp_state *state, const struct word *words, const char *arg,
		     const char *what)
{
	const struct word *w;

	for (w = words; w->name; w++) {
		if (!strcmp(w->name, arg))
			return w->value;
	}
	argp_error(state, "no %s '%s'", what, arg);
	return 0;
}

/* The option's name is the key's of the configuration, and so are its values. */
static void parse_service(struct attach *a, int opt, const char *arg, struct argp_state *state)
{
	const struct argp_option *option = options;
	const struct config_key *key = config_keys_service;

	while (option->key != opt)
		option++;
	while (strcmp(key->name, option->name))
		key++;
	if (config_value(key, arg, &a->services->service[0]))
		argp_error(state, "--%s takes %s: '%s'", key->name, key->allowed, arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct attach *a = state->input;

	a->options |= key == 'p' || key == 'x' || key == 'a' || (key >= OPT_PATH && key < OPT_END);
	if (key >= OPT_SERVICE && key < OPT_END) {
		parse_service(a, key, arg, state);
		return 0;
	}
	switch (key) {
	case 'c':
		a->file = arg;
		return 0;
	case 'p':
		if (ports_parse(arg, &a->setup.ports, &a->setup.ports_auto))
			argp_error(state, "no list of ports: '%s'", arg);
		return 0;
	case 'x':
		a->setup.mode = find_word(state, modes, arg, "XDP mode");
		return 0;
	case 'a':
		a->setup.kind = find_word(state, kinds, arg, "way to attach");
		return 0;
	case OPT_PATH:
		a->setup.path = find_word(state, paths, arg, "path");
		a->services->interface[0].path = a->setup.path;
		return 0;
	case OPT_SYNCOOKIES:
		a->setup.keep_syncookies = find_word(state, syncookies, arg, "policy");
		return 0;
	case OPT_TO:
		if (targets_add(&a->setup.targets, arg))
			argp_error(state, "no list of addresses or prefixes, %d at most: '%s'",
				   SW_TARGETS_MAX, arg);
		return 0;
	case OPT_FLOWS:
		if (targets_flows(&a->setup.targets, arg))
			argp_error(state, "no number of flows, 1k to 64M: '%s'", arg);
		return 0;
	case OPT_FORWARD:
		if (!*arg || strlen(arg) >= sizeof(a->setup.forward))
			argp_error(state, "no name of an interface: '%s'", arg);
		strcpy(a->setup.forward, arg);
		return 0;
	case OPT_KEY_FILE:
		if (!*arg || strlen(arg) >= sizeof(a->setup.key_file))
			argp_error(state, "no path of a file: '%s'", arg);
		strcpy(a->setup.key_file, arg);
		return 0;
	case ARGP_KEY_END:
		if (a->setup.path != SW_PATH_PROXY && a->setup.path != PATH_AUTO &&
		    (a->setup.targets.count || a->setup.targets.flows || a->setup.forward[0]))
			argp_error(state, "--to, --flows and --forward are for --path proxy");
		if (a->file && a->options)
			argp_error(state, "--config, or options: not both");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void warn(void *arg, const char *text)
{
	const struct attach *a = arg;

	say_warning(a->cli, a->cli->ifname, "%s", text);
}

static struct json_object *facts(const struct guard *g, const struct sw_info *info,
				 const struct xdp_state *xdp, const char *result)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "interface", json_object_new_string(g->ifname));
	json_object_object_add(obj, "result", json_object_new_string(result));
	json_object_object_add(obj, "path", json_object_new_string(path_name(info->path)));
	json_object_object_add(obj, "xdp", json_object_new_string(xdp_mode_name(info->xdp_mode)));
	json_object_object_add(obj, "attach",
			       json_object_new_string(xdp_kind_name(info->attach_kind)));
	json_object_object_add(obj, "dispatcher", json_object_new_boolean(xdp->dispatcher));
	json_object_object_add(obj, "tc", json_object_new_string(tc_kind_name(info->tc_kind)));
	return obj;
}

static void report(struct attach *a, const struct guard *g, const struct sw_info *info,
		   const char *result)
{
	struct xdp_state xdp = {};
	struct why ignored;

	xdp_look(g, &xdp, &ignored);
	say_done(a->cli, facts(g, info, &xdp, result),
		 "synward: %s: %s (%s path, %s XDP, %s%s%s%s)", g->ifname, result,
		 path_name(info->path), xdp_mode_name(info->xdp_mode),
		 xdp_kind_name(info->attach_kind), xdp.dispatcher ? " dispatcher" : "",
		 info->tc_kind ? ", " : "", info->tc_kind ? tc_kind_name(info->tc_kind) : "");
}

static int read_config(struct attach *a, struct why *why)
{
	const struct config_interface *interface;
	struct config_fault fault;
	struct config *config;
	int err;

	err = config_load(a->file, &config, &fault);
	if (err)
		return config_fault_say(a->file, &fault, err, why);
	interface = config_interface(config, a->cli->ifname);
	if (!interface)
		err = why_is(why, -ENOENT, "%s has no [interface %s]", a->file, a->cli->ifname);
	if (!err)
		err = services_from_config(config, interface, &a->setup.services, why);
	if (!err)
		setup_from(&a->setup, config, interface);
	config_free(config);
	return err;
}

static int attach(struct attach *a, struct why *why)
{
	struct setup_result result;
	struct guard g;
	int err;

	a->services->interface[0].to = a->setup.targets;
	if (a->file)
		err = read_config(a, why);
	else
		err = services_from_config(a->services, &a->services->interface[0],
					   &a->setup.services, why);
	a->setup.service_paths =
		services_paths(a->setup.services.service, a->setup.services.count);
	if (!err)
		err = guard_by_name(a->cli->ifname, &g, why);
	if (!err)
		err = setup_check_machine(&a->setup, why);
	if (!err)
		err = setup_guard(&a->setup, &g, &result, NULL, why);
	services_close_lists(&a->setup.services);
	if (!err)
		report(a, &g, &result.info, result.renewed ? "reloaded" : "attached");
	return err;
}

static struct config *make_services(void)
{
	struct config *config = calloc(1, sizeof(*config));

	if (!config)
		return NULL;
	config_defaults(config_keys_service, &config->service[0]);
	strcpy(config->service[0].name, "all");
	config->services = 1;
	config->interface[0].service_mask = 1;
	return config;
}

int cmd_attach(int argc, char **argv, struct cli *cli)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "IFACE",
		.doc = "Guards the interface; on a guarded one, renews programs, ports and keys "
		       "without a gap.",
	};
	struct attach a = {.cli = cli, .setup = {.ports_auto = true, .warn = warn, .arg = &a}};
	struct why why = {};
	int err;

	a.services = make_services();
	if (!a.services) {
		say_error(cli, NULL, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	ports_all(&a.setup.ports);
	cli_parse(&argp, CLI_INTERFACE, argc, argv, cli, &a);
	say_capture_libraries(cli);
	err = attach(&a, &why);
	config_free(a.services);
	if (err)
		say_error(cli, cli->ifname, "%s", why.text[0] ? why.text : strerror(-err));
	return err;
}
