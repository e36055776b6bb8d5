// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * veth-peer IFACE on [--sink PREFIX] | off | count: holds a program that passes
 * everything at the far end of a veth, so that XDP_TX at the near end leaves at once.
 * It stays when this command has ended.
 */
#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench/veth_peer.skel.h"

#define EXIT_USAGE 2
#define PROG_NAME "veth_peer"

const char *argp_program_version = "veth-peer " SW_VERSION;

struct sink {
	uint16_t proto;
	uint64_t address[2], mask[2];
};

struct settings {
	const char *interface, *action;
	int ifindex;
	struct sink sink;
};

static const struct argp_option options[] = {
	{"sink", 's', "PREFIX", 0, "drop and count what is sent to PREFIX (with on)", 0}, {}};

static void parse_sink(struct argp_state *state, struct sink *sink, char *arg)
{
	char *slash = strchr(arg, '/'), *end = NULL;
	uint8_t address[16] = {}, mask[16] = {};
	unsigned long bits, most;

	if (slash)
		*slash = '\0';
	if (inet_pton(AF_INET, arg, address) == 1)
		sink->proto = ETH_P_IP;
	else if (inet_pton(AF_INET6, arg, address) == 1)
		sink->proto = ETH_P_IPV6;
	else
		argp_error(state, "--sink must be an address prefix, not '%s'", arg);
	most = sink->proto == ETH_P_IP ? 32 : 128;
	bits = slash ? strtoul(slash + 1, &end, 10) : most;
	if (slash && (*end || end == slash + 1 || bits > most))
		argp_error(state, "a prefix length goes up to %lu", most);
	for (unsigned long i = 0; i < bits; i++)
		mask[i / 8] |= 0x80 >> i % 8;
	for (int i = 0; i < 16; i++)
		address[i] &= mask[i];
	memcpy(sink->address, address, sizeof(address));
	memcpy(sink->mask, mask, sizeof(mask));
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct settings *s = state->input;

	switch (key) {
	case 's':
		parse_sink(state, &s->sink, arg);
		break;
	case ARGP_KEY_ARG:
		if (state->arg_num > 1)
			argp_error(state, "what is '%s'?", arg);
		*(state->arg_num ? &s->action : &s->interface) = arg;
		break;
	case ARGP_KEY_END:
		if (!s->action)
			argp_error(state, "an interface and on, off or count");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* One line, and its exit status. */
__attribute__((format(printf, 1, 2))) static int fail(const char *format, ...)
{
	va_list args;

	fputs("veth-peer: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

static int peer_on(const struct settings *s)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	struct veth_peer_bpf *skel = veth_peer_bpf__open();
	int r;

	if (!skel)
		return fail("cannot open the BPF object: %s", strerror(errno));
	skel->rodata->sink_proto = s->sink.proto;
	memcpy((void *)skel->rodata->sink_address, s->sink.address, sizeof(s->sink.address));
	memcpy((void *)skel->rodata->sink_mask, s->sink.mask, sizeof(s->sink.mask));
	r = veth_peer_bpf__load(skel);
	if (!r)
		r = bpf_xdp_attach(s->ifindex, bpf_program__fd(skel->progs.veth_peer),
				   XDP_FLAGS_DRV_MODE | XDP_FLAGS_UPDATE_IF_NOEXIST, &opts);
	veth_peer_bpf__destroy(skel);
	if (r == -EEXIST || r == -EBUSY)
		return fail("%s has an XDP program already", s->interface);
	return r ? fail("cannot attach to %s: %s", s->interface, strerror(-r)) : 0;
}

/* The program there, if it is this one; its fd or a negative errno. */
static int find_own(const struct settings *s, struct bpf_prog_info *info)
{
	__u32 id, length = sizeof(*info);
	int r = bpf_xdp_query_id(s->ifindex, XDP_FLAGS_DRV_MODE, &id), fd;

	if (r)
		return r;
	fd = id ? bpf_prog_get_fd_by_id(id) : -ENOENT;
	if (fd < 0)
		return fd;
	r = bpf_obj_get_info_by_fd(fd, info, &length);
	if (!r && strcmp(info->name, PROG_NAME))
		r = -ENOENT;
	if (r)
		close(fd);
	return r ?: fd;
}

static int peer_off(const struct settings *s)
{
	struct bpf_prog_info info = {};
	int fd = find_own(s, &info), r;
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = fd);

	if (fd < 0)
		return fail("%s holds no program of veth-peer", s->interface);
	r = bpf_xdp_detach(s->ifindex, XDP_FLAGS_DRV_MODE, &opts);
	close(fd);
	return r ? fail("cannot detach from %s: %s", s->interface, strerror(-r)) : 0;
}

static bool is_counter(int map_fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	return !bpf_obj_get_info_by_fd(map_fd, &info, &length) && !strcmp(info.name, "sunk");
}

static int print_sum(int map_fd)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t value[cpus > 0 ? cpus : 1], sum = 0;
	__u32 zero = 0;
	int r = bpf_map_lookup_elem(map_fd, &zero, value);

	if (r)
		return fail("cannot read the counter: %s", strerror(-r));
	for (int i = 0; i < cpus; i++)
		sum += value[i];
	printf("%" PRIu64 "\n", sum);
	return 0;
}

static int peer_count(const struct settings *s)
{
	__u32 map_ids[4];
	struct bpf_prog_info info = {.map_ids = (uintptr_t)map_ids, .nr_map_ids = 4};
	int fd = find_own(s, &info), map_fd, r = EXIT_FAILURE;

	if (fd < 0)
		return fail("%s holds no program of veth-peer", s->interface);
	close(fd);
	for (__u32 i = 0; i < info.nr_map_ids && i < 4; i++) {
		map_fd = bpf_map_get_fd_by_id(map_ids[i]);
		if (map_fd >= 0 && is_counter(map_fd))
			r = print_sum(map_fd);
		if (map_fd >= 0)
			close(map_fd);
	}
	return r;
}

static const struct {
	const char *name;
	int (*run)(const struct settings *s);
} actions[] = {{"on", peer_on}, {"off", peer_off}, {"count", peer_count}, {}};

int main(int argc, char **argv)
{
	static const struct argp argp = {options,
					 parse_option,
					 "IFACE on|off|count",
					 "Holds a passing XDP program at the far end of a veth.",
					 NULL,
					 NULL,
					 NULL};
	struct settings s = {};

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &s);
	libbpf_set_print(NULL);
	s.ifindex = if_nametoindex(s.interface);
	if (!s.ifindex)
		return fail("no interface %s in this network namespace", s.interface);
	for (int i = 0; actions[i].name; i++)
		if (!strcmp(s.action, actions[i].name))
			return actions[i].run(&s);
	fprintf(stderr, "veth-peer: no action is called '%s': on, off or count\n", s.action);
	return EXIT_USAGE;
}
