// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#define _GNU_SOURCE
#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/ether.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "settings.h"

#define EXIT_USAGE 2

const char *argp_program_version = "flood " SW_VERSION;

enum {
	OPT_TO = 256,
	OPT_OPTIONS,
	OPT_SOURCES,
	OPT_MAC,
	OPT_VLAN,
	OPT_CPU,
	OPT_CHECKSUM,
	OPT_EXT,
	OPT_SPORT
};

static const struct argp_option options[] = {
	{"to", OPT_TO, "ADDR", 0, "IPv4 or IPv6 address to flood", 0},
	{"port", 'p', "PORT", 0, "destination port, or all: a random one in each frame (80)", 0},
	{"ports", 'p', "PORT", OPTION_ALIAS, NULL, 0},
	{"kind", 'k', "KIND[,KIND]", 0,
	 "syn, ack, synack, rst, fin, synfin, null, udp, or mixed: all (syn)", 0},
	{"options", OPT_OPTIONS, "CLIENT", 0,
	 "TCP options of linux, windows, macos, bare, nops, unknown (linux)", 0},
	{"sources", OPT_SOURCES, "PREFIX", 0,
	 "forged sources, or all (198.18.0.0/15, 2001:db8::/32)", 0},
	{"source-port", OPT_SPORT, "PORT", 0, "forged source port (a random one in each frame)", 0},
	{"dst-mac", OPT_MAC, "MAC", 0, "destination MAC address (the next hop's)", 0},
	{"vlan", OPT_VLAN, "ID", 0, "put an 802.1Q tag in", 0},
	{"checksum", OPT_CHECKSUM, "KIND", 0, "good, bad, bad-ip, or partial: left to a NIC (good)",
	 0},
	{"ipv6-ext", OPT_EXT, "N", 0, "IPv6 destination-option headers in front of TCP, 12 at most",
	 0},
	{"rate", 'r', "PPS", 0, "frames a second (0: as many as possible)", 1},
	{"even", 'e', NULL, 0, "space --rate evenly: keeps the whole CPU busy", 1},
	{"seconds", 's', "S", 0, "how long, fractions allowed (10)", 1},
	{"cpu", OPT_CPU, "N", 0, "run on this CPU", 1},
	{"json", 'j', NULL, 0, "print JSON", 1},
	{}};

static uint64_t parse_number(struct argp_state *state, const char *what, const char *arg,
			     uint64_t max)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(arg, &end, 10);
	if (errno || *end || *arg < '0' || *arg > '9' || value > max)
		argp_error(state, "%s must be a number up to %" PRIu64 ", not '%s'", what, max,
			   arg);
	return value;
}

static int parse_address(const char *arg, struct in6_addr *ret)
{
	if (inet_pton(AF_INET, arg, ret) == 1)
		return AF_INET;
	return inet_pton(AF_INET6, arg, ret) == 1 ? AF_INET6 : AF_UNSPEC;
}

static void parse_sources(struct argp_state *state, struct prefix *sources, const char *arg)
{
	char address[INET6_ADDRSTRLEN + 1] = "";
	const char *slash = strchr(arg, '/');
	size_t length = slash ? (size_t)(slash - arg) : strlen(arg);

	sources->all = !strcmp(arg, "all");
	if (sources->all)
		return;
	if (length < sizeof(address))
		memcpy(address, arg, length);
	sources->family = parse_address(address, &sources->address);
	if (sources->family == AF_UNSPEC)
		argp_error(state, "--sources must be an address prefix or all, not '%s'", arg);
	sources->length = sources->family == AF_INET ? 32 : 128;
	if (slash)
		sources->length =
			parse_number(state, "a prefix length", slash + 1, sources->length);
}

static const struct frame_kind *find_kind(const char *name)
{
	for (const struct frame_kind *kind = frame_kinds; kind->name; kind++)
		if (!strcmp(kind->name, name))
			return kind;
	return NULL;
}

static void parse_kinds(struct argp_state *state, struct settings *s, char *list)
{
	const struct frame_kind *kind;

	s->kind_count = 0;
	if (!strcmp(list, "mixed")) {
		for (kind = frame_kinds; kind->name; kind++)
			s->kinds[s->kind_count++] = kind;
		return;
	}
	for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
		kind = find_kind(name);
		if (!kind)
			argp_error(state, "no --kind is called '%s'", name);
		if (s->kind_count == FLOOD_FRAMES)
			argp_error(state, "--kind takes %d names at most", FLOOD_FRAMES);
		s->kinds[s->kind_count++] = kind;
	}
	if (!s->kind_count)
		argp_error(state, "--kind needs a name");
}

static const struct tcp_options *parse_options(struct argp_state *state, const char *name)
{
	const struct tcp_options *found = tcp_options;

	while (found->name && strcmp(found->name, name))
		found++;
	if (!found->name)
		argp_error(state, "no --options are called '%s'", name);
	return found;
}

static enum checksum_kind parse_checksum(struct argp_state *state, const char *name)
{
	static const char *const names[] = {"good", "bad", "bad-ip", "partial"};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(name, names[i]))
			return i;
	argp_error(state, "no --checksum is called '%s'", name);
	return CHECKSUM_GOOD;
}

static double parse_seconds(struct argp_state *state, const char *arg)
{
	char *end;
	double seconds = strtod(arg, &end);

	if (*end || end == arg || !(seconds > 0 && seconds < 1e6))
		argp_error(state, "--seconds must be a positive number, not '%s'", arg);
	return seconds;
}

static void check_settings(struct argp_state *state, struct settings *s)
{
	if (!s->interface)
		argp_error(state, "which interface?");
	if (s->family == AF_UNSPEC)
		argp_error(state, "--to is needed");
	if (s->sources.family == AF_UNSPEC) {
		s->sources.family = s->family;
		s->sources.length = s->family == AF_INET ? 15 : 32;
		inet_pton(s->family,
			  s->family == AF_INET ? "198.18.0.0" : "2001:db8::", &s->sources.address);
	}
	if (s->sources.family != s->family)
		argp_error(state, "--sources and --to must be of one IP version");
	if (s->limits.even && !s->limits.rate_pps)
		argp_error(state, "--even needs --rate");
	if (s->spec.ipv6_ext && s->family != AF_INET6)
		argp_error(state, "--ipv6-ext needs an IPv6 address in --to");
	s->spec.v6 = s->family == AF_INET6;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct settings *s = state->input;
	const struct ether_addr *mac;

	switch (key) {
	case OPT_TO:
		s->family = parse_address(arg, &s->spec.to);
		if (s->family == AF_UNSPEC)
			argp_error(state, "--to must be an IPv4 or IPv6 address, not '%s'", arg);
		break;
	case 'p':
		s->spec.port = !strcmp(arg, "all") ? 0 : parse_number(state, "--port", arg, 65535);
		break;
	case 'k':
		parse_kinds(state, s, arg);
		break;
	case OPT_OPTIONS:
		s->spec.options = parse_options(state, arg);
		break;
	case OPT_SOURCES:
		parse_sources(state, &s->sources, arg);
		break;
	case OPT_SPORT:
		s->spec.sport = parse_number(state, "--source-port", arg, 65535);
		break;
	case OPT_MAC:
		mac = ether_aton(arg);
		if (!mac)
			argp_error(state, "--dst-mac must be a MAC address, not '%s'", arg);
		s->spec.dst_mac = *mac;
		s->have_mac = true;
		break;
	case OPT_VLAN:
		s->spec.vlan = parse_number(state, "--vlan", arg, 4094);
		break;
	case OPT_CHECKSUM:
		s->spec.checksum = parse_checksum(state, arg);
		break;
	case OPT_EXT:
		s->spec.ipv6_ext = parse_number(state, "--ipv6-ext", arg, FRAME_IPV6_EXT_MAX);
		break;
	case 'r':
		s->limits.rate_pps = parse_number(state, "--rate", arg, 100000000);
		break;
	case 'e':
		s->limits.even = true;
		break;
	case 's':
		s->limits.seconds = parse_seconds(state, arg);
		break;
	case OPT_CPU:
		s->cpu = parse_number(state, "--cpu", arg, CPU_SETSIZE - 1);
		break;
	case 'j':
		s->json = true;
		break;
	case ARGP_KEY_ARG:
		if (s->interface)
			argp_error(state, "one interface only, what is '%s'?", arg);
		s->interface = arg;
		break;
	case ARGP_KEY_END:
		check_settings(state, s);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

void settings_parse(struct settings *s, int argc, char **argv)
{
	static const struct argp argp = {
		options,
		parse_option,
		"IFACE --to ADDR",
		"Floods an address with forged TCP segments, out of the veth IFACE.",
		NULL,
		NULL,
		NULL};

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, s);
}
