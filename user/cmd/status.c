// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "cli.h"
#include "flow_table.h"
#include "forward.h"
#include "guard.h"
#include "host.h"
#include "keys.h"
#include "path.h"
#include "pins.h"
#include "ports.h"
#include "services.h"
#include "syncookies.h"
#include "tc.h"
#include "xdp.h"

struct status {
	struct cli *cli;
	__u64 netns_inode;
	struct json_object *guards;
	bool broken;
};

/* What is told about a guard; the JSON keys, and how the plain form names them. */
static const struct field {
	const char *key;
	const char *label;
} fields[] = {{"state", "state"},
	      {"advice", "what to do"},
	      {"path", "path"},
	      {"xdp", "XDP mode"},
	      {"attach", "attached by"},
	      {"dispatcher", "dispatcher"},
	      {"tc", "tc"},
	      {"forward", "forward to"},
	      {"flows", "flows"},
	      {"flows_limit", "room for"},
	      {"ports", "ports"},
	      {"since", "since"},
	      {"key_age_s", "key age, s"},
	      {"version", "version"},
	      {}};

static void put(struct json_object *obj, const char *key, const char *text)
{
	json_object_object_add(obj, key, json_object_new_string(text));
}

static void put_state(struct json_object *obj, const char *state, const char *advice)
{
	put(obj, "state", state);
	if (advice)
		put(obj, "advice", advice);
}

/* The programs are there; on the compat path a setting can take the guard off all the same. */
static void put_path_state(struct status *s, struct json_object *obj, const struct sw_info *info)
{
	if (info->path != SW_PATH_COMPAT || syncookies_are_always()) {
		put_state(obj, "on", NULL);
		return;
	}
	s->broken = true;
	put_state(obj, "net.ipv4.tcp_syncookies is not 2: all passes", "attach again");
}

/* Whether the programs are where they were put. */
static void put_hooks(struct status *s, struct json_object *obj, const struct guard *g,
		      const struct sw_info *info, struct xdp_state *ret)
{
	enum sw_tc_kind kind;
	struct why why;

	if (xdp_look(g, ret, &why)) {
		put_state(obj, "unknown", "run as root: only root may see the hooks");
		return;
	}
	if (ret->ours_count && (info->tc_kind == SW_TC_NONE || tc_look(g, &kind))) {
		put_path_state(s, obj, info);
		return;
	}
	s->broken = true;
	put_state(obj, ret->ours_count ? "tc program is gone" : "XDP program is gone",
		  "attach again");
}

static int read_config(const struct guard *g, struct sw_config *ret)
{
	int fd = pins_open_readonly(g, "config"), err = 0;
	__u32 zero = 0;

	if (fd < 0)
		return fd;
	if (bpf_map_lookup_elem(fd, &zero, ret))
		err = -errno;
	close(fd);
	return err;
}

static void put_ports(struct json_object *obj, const struct sw_info *info,
		      const struct sw_config *config)
{
	struct ports ports, all = {};
	char *text;

	memcpy(ports.word, config->port, sizeof(ports.word));
	ports_all(&all);
	if (info->ports_auto && !memcmp(&ports, &all, sizeof(all))) {
		put(obj, "ports", "auto");
		return;
	}
	text = ports_text(&ports);
	if (text)
		put(obj, "ports", text[0] ? text : "none");
	free(text);
}

static void put_key_age(struct json_object *obj, const struct xdp_state *xdp)
{
	struct keys_state state;

	if (!keys_look_running(xdp, &state))
		json_object_object_add(obj, "key_age_s", json_object_new_uint64(state.age_s));
}

/* Since when, as the time of day, from a time of CLOCK_MONOTONIC. */
static void put_time(struct json_object *obj, const char *key, __u64 monotonic_ns)
{
	struct timespec day, monotonic;
	char text[64];
	struct tm tm;
	time_t at;

	clock_gettime(CLOCK_REALTIME, &day);
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	at = day.tv_sec - monotonic.tv_sec + monotonic_ns / 1000000000ULL;
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", localtime_r(&at, &tm));
	put(obj, key, text);
}

static struct json_object *describe_service(const struct service_view *view, enum sw_path path)
{
	struct json_object *obj = json_object_new_object();
	const struct sw_service_state *state = &view->state;

	put(obj, "name", view->service.name);
	put(obj, "mode", services_mode_name(view->service.mode));
	put(obj, "path", services_path_name(view->service.path));
	if (path == SW_PATH_PROXY)
		json_object_object_add(obj, "translated",
				       json_object_new_boolean(view->translated));
	if (view->service.mode == SW_MODE_AUTO) {
		json_object_object_add(obj, "armed", json_object_new_boolean(state->armed));
		json_object_object_add(obj, "times_armed", json_object_new_uint64(state->arms));
		if (state->since_ns) {
			put(obj, "armed_by", services_armed_by_name(state->armed_by));
			put_time(obj, "since", state->since_ns);
		}
	}
	json_object_object_add(obj, "listed", json_object_new_boolean(view->listed));
	json_object_object_add(obj, "slot", json_object_new_int(view->slot));
	return obj;
}

static void put_services(struct json_object *obj, const struct guard *g, enum sw_path path)
{
	struct service_view view[SW_SERVICES];
	struct json_object *services;
	struct host_maps maps;
	struct why ignored;
	int count, i;

	if (services_open(g, &maps, &ignored))
		return;
	count = services_read(&maps, view);
	services = json_object_new_array();
	for (i = 0; i < count; i++)
		json_object_array_add(services, describe_service(&view[i], path));
	host_maps_close(&maps);
	json_object_object_add(obj, "services", services);
}

static void put_since(struct json_object *obj, const struct sw_info *info)
{
	time_t since = info->attached_at_ns / 1000000000ULL;
	char text[64];
	struct tm tm;

	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", localtime_r(&since, &tm));
	put(obj, "since", text);
}

/* Without its interface, or its program there, traffic takes the stack: nothing is broken. */
static void put_forward(struct json_object *obj, const struct guard *g, const struct sw_info *info)
{
	char ifname[IF_NAMESIZE], text[64];

	if (!info->forward)
		return;
	if (!if_indextoname(info->forward, ifname))
		put(obj, "forward", "gone: all takes the stack");
	else if (geteuid() || forward_is_on(g, info->forward))
		put(obj, "forward", ifname);
	else {
		snprintf(text, sizeof(text), "%s, but its program is gone: all takes the stack",
			 ifname);
		put(obj, "forward", text);
	}
}

/* Those that are not over; root alone may count them. */
static void put_flows(struct json_object *obj, const struct guard *g)
{
	struct flow_census census;
	enum sw_flow_state state;
	__u64 live = 0;
	struct why ignored;
	int fd = flow_table_open(g, &ignored);

	if (fd < 0)
		return;
	if (!flow_table_census(fd, &census)) {
		for (state = 0; state < SW_FLOW_TIME_WAIT; state++)
			live += census.state[state];
		json_object_object_add(obj, "flows", json_object_new_uint64(live));
		json_object_object_add(obj, "flows_limit", json_object_new_int64(census.limit));
	}
	close(fd);
}

static struct json_object *describe(struct status *s, const struct guard *g,
				    const struct sw_info *info)
{
	struct json_object *obj = json_object_new_object();
	struct sw_config config;
	struct xdp_state xdp = {};

	put(obj, "interface", g->ifname);
	put_hooks(s, obj, g, info, &xdp);
	put(obj, "path", path_name(info->path));
	put(obj, "xdp", xdp_mode_name(info->xdp_mode));
	put(obj, "attach", xdp_kind_name(info->attach_kind));
	json_object_object_add(obj, "dispatcher", json_object_new_boolean(xdp.dispatcher));
	put(obj, "tc", tc_kind_name(info->tc_kind));
	put_forward(obj, g, info);
	put_flows(obj, g);
	if (!read_config(g, &config)) {
		put_ports(obj, info, &config);
		if (info->path != SW_PATH_COMPAT) /* whose cookies have the kernel's keys */
			put_key_age(obj, &xdp);
	}
	put_services(obj, g, info->path);
	put_since(obj, info);
	put(obj, "version", info->version);
	return obj;
}

static struct json_object *describe_half(struct status *s, const struct guard *g)
{
	struct json_object *obj = json_object_new_object();

	put(obj, "interface", g->ifname);
	put_state(obj, "half made", "attach again or detach");
	s->broken = true;
	return obj;
}

static struct json_object *describe_other(struct status *s, const struct guard *g,
					  const struct sw_info *info)
{
	struct json_object *obj = json_object_new_object();

	put(obj, "interface", g->ifname);
	put_state(obj, "of another version", "attach again with this one");
	put(obj, "version", info->version);
	s->broken = true;
	return obj;
}

static int add(const struct guard *g, void *arg)
{
	struct status *s = arg;
	struct json_object *obj;
	struct sw_info info;
	int err;

	if (g->netns_inode != s->netns_inode || !g->ifname[0])
		return 0;
	if (s->cli->ifname && strcmp(s->cli->ifname, g->ifname))
		return 0;
	err = guard_info(g, &info);
	if (err == -EACCES)
		return err;
	if (err)
		obj = describe_half(s, g);
	else if (info.abi != SW_ABI)
		obj = describe_other(s, g, &info);
	else
		obj = describe(s, g, &info);
	json_object_array_add(s->guards, obj);
	return 0;
}

static const char *text_of(struct json_object *obj, const char *key)
{
	return json_object_get_string(json_object_object_get(obj, key));
}

/* What is not as it is where nobody asked for anything. */
static void print_service_path(struct json_object *s)
{
	bool translated = json_object_get_boolean(json_object_object_get(s, "translated"));
	const char *path = text_of(s, "path");

	if (translated)
		printf(", translated%s",
		       strcmp(path, "auto") ? "" : ": its hand-overs got no socket");
	else if (strcmp(path, "auto"))
		printf(", path %s", path);
}

static void print_service(struct json_object *s)
{
	bool armed = json_object_get_boolean(json_object_object_get(s, "armed"));
	const char *since = text_of(s, "since");

	printf("  %-13s%s: %s", "service", text_of(s, "name"), text_of(s, "mode"));
	if (json_object_object_get(s, "armed"))
		printf(", %s", armed ? "under attack" : "idle");
	if (since)
		printf(" since %s (%s, armed %s times)", since, text_of(s, "armed_by"),
		       text_of(s, "times_armed"));
	print_service_path(s);
	puts(json_object_get_boolean(json_object_object_get(s, "listed")) ? ", with lists" : "");
}

static void print_services(struct json_object *guard)
{
	struct json_object *services = json_object_object_get(guard, "services");
	size_t count = services ? json_object_array_length(services) : 0, i;

	for (i = 0; i < count; i++)
		print_service(json_object_array_get_idx(services, i));
}

static void print_plain(struct json_object *guard)
{
	struct json_object *value;
	const struct field *f;

	printf("%s\n", json_object_get_string(json_object_object_get(guard, "interface")));
	for (f = fields; f->key; f++) {
		if (json_object_object_get_ex(guard, f->key, &value))
			printf("  %-13s%s\n", f->label, json_object_get_string(value));
	}
	print_services(guard);
}

static void print(struct status *s)
{
	size_t count = json_object_array_length(s->guards), i;

	if (s->cli->json)
		puts(json_object_to_json_string_ext(s->guards, JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (!count)
		puts("synward: nothing is guarded");
	for (i = 0; !s->cli->json && i < count; i++)
		print_plain(json_object_array_get_idx(s->guards, i));
}

static int status(struct status *s, struct why *why)
{
	struct guard g;
	int err;

	err = s->cli->ifname ? guard_by_name(s->cli->ifname, &g, why) : 0;
	if (err)
		return err;
	err = guard_netns(&s->netns_inode);
	if (!err)
		err = guard_each(add, s);
	if (err)
		return why_is(why, err, "cannot look into " GUARD_ROOT ": %s; run as root",
			      strerror(-err));
	if (s->cli->ifname && !json_object_array_length(s->guards))
		return why_is(why, -ENOENT, "is not guarded; 'synward attach %s' does that",
			      s->cli->ifname);
	print(s);
	return 0;
}

int cmd_status(int argc, char **argv, struct cli *cli)
{
	static const struct argp argp = {
		.args_doc = "[IFACE]",
		.doc = "What is guarded in this network namespace, and whether it really is.",
	};
	struct status s = {.cli = cli, .guards = json_object_new_array()};
	struct why why = {};
	int err;

	cli_parse(&argp, CLI_MAYBE_INTERFACE, argc, argv, cli, &s);
	say_capture_libraries(cli);
	err = status(&s, &why);
	if (err)
		say_error(cli, cli->ifname, "%s", why.text);
	json_object_put(s.guards);
	return err ? err : s.broken ? -ENOLINK : 0;
}
