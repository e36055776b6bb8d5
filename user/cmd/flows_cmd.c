// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* synward flows: the connections that proxy mode translates. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "flow_table.h"
#include "guard.h"
#include "ports.h"
#include "prefix.h"
#include "tuple.h"

#define ENDPOINT_SIZE (INET6_ADDRSTRLEN + 9)

struct flows_args {
	struct cli *cli;
	struct prefix client, server;
	struct ports ports;
	int state; /* -1: any */
	bool count_only;
	__u64 netns_inode, now_ns;
	unsigned long shown;
	bool found;                /* a guard with flows */
	const struct guard *guard; /* whose are shown */
	struct why why;
};

enum { OPT_CLIENT = 256, OPT_SERVER };

static const struct argp_option options[] = {
	{"client", OPT_CLIENT, "PREFIX", 0, "Only flows of clients in it", 0},
	{"server", OPT_SERVER, "PREFIX", 0, "Only flows to servers in it, as the client names them",
	 0},
	{"port", 'p', "LIST", 0, "Only flows to these ports, as 80,443,8000-8100", 0},
	{"state", 's', "STATE", 0,
	 "Only flows in it: syn_sent, established, client_done, server_done, closing, time_wait or "
	 "reset",
	 0},
	{"count", 'c', NULL, 0, "Print only how many there are", 0},
	{}};

static void take_prefix(struct argp_state *state, const char *arg, struct prefix *ret)
{
	int err = prefix_parse(arg, ret);

	if (err)
		argp_error(state,
			   err == -ERANGE ? "bits set behind the prefix: '%s'"
					  : "no address or prefix: '%s'",
			   arg);
}

static int find_state(const char *name)
{
	int i;

	for (i = 0; i < SW_FLOW_STATES; i++) {
		if (!strcmp(flow_state_names[i], name))
			return i;
	}
	return -1;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct flows_args *a = state->input;
	bool automatic;

	switch (key) {
	case OPT_CLIENT:
		take_prefix(state, arg, &a->client);
		return 0;
	case OPT_SERVER:
		take_prefix(state, arg, &a->server);
		return 0;
	case 'p':
		if (ports_parse(arg, &a->ports, &automatic))
			argp_error(state, "no list of ports: '%s'", arg);
		return 0;
	case 's':
		a->state = find_state(arg);
		if (a->state < 0)
			argp_error(state, "no state of a flow: '%s'", arg);
		return 0;
	case 'c':
		a->count_only = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static bool prefix_holds(const struct prefix *p, const __u8 addr[16])
{
	unsigned int whole = p->length / 8, rest = p->length % 8;

	if (memcmp(p->addr, addr, whole))
		return false;
	return !rest || !((p->addr[whole] ^ addr[whole]) >> (8 - rest));
}

static bool is_wanted(const struct flows_args *a, const struct sw_tuple *t, const struct sw_flow *f)
{
	__u8 client[16], server[16];

	flow_address(t->saddr_hi, t->saddr_lo, t->family_v6, client);
	flow_address(t->daddr_hi, t->daddr_lo, t->family_v6, server);
	return !sw_flow_expired(f, a->now_ns) &&
	       (a->state < 0 || (int)sw_flow_state(f) == a->state) &&
	       ports_have(&a->ports, t->dport) && prefix_holds(&a->client, client) &&
	       prefix_holds(&a->server, server);
}

static const char *address_text(__u64 hi, __u64 lo, bool v6, char text[INET6_ADDRSTRLEN])
{
	__u8 addr[16];

	flow_address(hi, lo, v6, addr);
	return inet_ntop(v6 ? AF_INET6 : AF_INET, v6 ? addr : addr + 12, text, INET6_ADDRSTRLEN);
}

static void endpoint_text(const char *address, bool v6, __u16 port, char text[ENDPOINT_SIZE])
{
	snprintf(text, ENDPOINT_SIZE, v6 ? "[%s]:%u" : "%s:%u", address, port);
}

/* Another CPU's clock may be a tick ahead. */
static double seconds_since(const struct flows_args *a, __u32 then)
{
	return (double)sw_flow_since_ns(then, a->now_ns) / SW_NS_PER_S;
}

/* Before the server's answer that place of a flow holds something else. */
static __u32 seq_offset(const struct sw_flow *f)
{
	return f->flags & SW_FF_ANSWERED ? f->seq_delta : 0;
}

/* A line a flow, written by hand: a million of them are no matter of minutes then. No text of
 * others is in it. */
static void print_json(const struct flows_args *a, const struct guard *g, const struct sw_tuple *t,
		       const struct sw_flow *f)
{
	const struct sw_flow_side *client = &f->side[SW_CLIENT], *server = &f->side[SW_SERVER];
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];

	printf("{\"interface\":\"%s\",\"client\":\"%s\",\"client_port\":%u,\"server\":\"%s\","
	       "\"server_port\":%u,\"state\":\"%s\",\"age_s\":%.1f,\"idle_s\":%.1f,"
	       "\"packets_in\":%" PRIu64 ",\"bytes_in\":%" PRIu64 ",\"packets_out\":%" PRIu64
	       ",\"bytes_out\":%" PRIu64 ",\"seq_offset\":%u,\"tstamp_offset\":%u,\"syns\":%u}\n",
	       g->ifname, address_text(t->saddr_hi, t->saddr_lo, t->family_v6, from), t->sport,
	       address_text(t->daddr_hi, t->daddr_lo, t->family_v6, to), t->dport,
	       flow_state_names[sw_flow_state(f)], seconds_since(a, f->opened),
	       seconds_since(a, f->seen), (uint64_t)client->packets, (uint64_t)client->bytes,
	       (uint64_t)server->packets, (uint64_t)server->bytes, seq_offset(f), f->ts_delta,
	       f->syns);
}

static void print_plain(const struct flows_args *a, const struct sw_tuple *t,
			const struct sw_flow *f)
{
	const struct sw_flow_side *client = &f->side[SW_CLIENT], *server = &f->side[SW_SERVER];
	char address[INET6_ADDRSTRLEN], from[ENDPOINT_SIZE], to[ENDPOINT_SIZE];

	if (!a->shown)
		printf("%-25s %-25s %-11s %8s %8s %9s %12s %9s %12s %10s %10s\n", "client",
		       "server", "state", "age s", "idle s", "in", "bytes", "out", "bytes", "seq",
		       "tstamp");
	address_text(t->saddr_hi, t->saddr_lo, t->family_v6, address);
	endpoint_text(address, t->family_v6, t->sport, from);
	address_text(t->daddr_hi, t->daddr_lo, t->family_v6, address);
	endpoint_text(address, t->family_v6, t->dport, to);
	printf("%-25s %-25s %-11s %8.1f %8.1f %9" PRIu64 " %12" PRIu64 " %9" PRIu64 " %12" PRIu64
	       " %10u %10u\n",
	       from, to, flow_state_names[sw_flow_state(f)], seconds_since(a, f->opened),
	       seconds_since(a, f->seen), (uint64_t)client->packets, (uint64_t)client->bytes,
	       (uint64_t)server->packets, (uint64_t)server->bytes, seq_offset(f), f->ts_delta);
}

static void show(const struct sw_tuple *t, const struct sw_flow *f, void *arg)
{
	struct flows_args *a = arg;

	if (!is_wanted(a, t, f))
		return;
	if (!a->count_only && a->cli->json)
		print_json(a, a->guard, t, f);
	else if (!a->count_only)
		print_plain(a, t, f);
	a->shown++;
}

static int show_guard(const struct guard *g, void *arg)
{
	struct flows_args *a = arg;
	int fd, err;

	if (g->netns_inode != a->netns_inode)
		return 0;
	fd = flow_table_open(g, &a->why);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	a->found = true;
	a->guard = g;
	err = flow_table_each(fd, show, a);
	close(fd);
	return err ? why_is(&a->why, err, "cannot read its flows: %s", strerror(-err)) : 0;
}

static int show_flows(struct flows_args *a)
{
	struct guard g;
	int err;

	a->now_ns = flow_table_now_ns();
	err = guard_netns(&a->netns_inode);
	if (err)
		return err;
	if (!a->cli->ifname)
		return guard_each(show_guard, a);
	err = guard_by_name(a->cli->ifname, &g, &a->why);
	if (!err)
		err = show_guard(&g, a);
	if (!err && !a->found)
		return why_is(&a->why, -ENOENT,
			      guard_has(&g, NULL)
				      ? "has no flows: it is not guarded on the proxy path"
				      : "is not guarded; 'synward attach' does that");
	return err;
}

int cmd_flows(int argc, char **argv, struct cli *cli)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "[IFACE]",
		.doc = "Connections that the proxy path translates, a line each (with -j a JSON "
		       "object "
		       "each): both ends, state, age, segments and bytes of the client (in) and of "
		       "the server (out), and what is added to the server's sequence numbers and "
		       "timestamps.",
	};
	struct flows_args a = {.cli = cli, .state = -1};
	int err;

	ports_all(&a.ports);
	cli_parse(&argp, CLI_MAYBE_INTERFACE, argc, argv, cli, &a);
	say_capture_libraries(cli);
	err = show_flows(&a);
	if (!err && a.count_only)
		printf(cli->json ? "{\"count\":%lu}\n" : "%lu\n", a.shown);
	if (!err && fflush(stdout))
		err = why_is(&a.why, -errno, "cannot write: %s", strerror(errno));
	if (err)
		say_error(cli, cli->ifname, "%s", a.why.text[0] ? a.why.text : strerror(-err));
	return err;
}
