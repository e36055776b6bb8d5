// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "guard.h"
#include "../../user/guard/object.h"

struct guard guard;

static struct bpf_object *object;
static enum sw_path loaded;
static int client_ns, server_ns, ifindex;

static const char *const names[] = {
#define SW_REASON(name, action, text) "SW_" #name,
#include "reason.def"
#undef SW_REASON
};

static const int actions[] = {
#define SW_REASON(name, action, text) XDP_##action,
#include "reason.def"
#undef SW_REASON
};

const char *reason_name(int reason)
{
	return reason >= 0 && reason < SW_REASON_COUNT ? names[reason] : "no reason";
}

const char *action_name(int action)
{
	static const char *const text[] = { "ABORTED", "DROP", "PASS", "TX", "REDIRECT" };

	return action >= 0 && action < 5 ? text[action] : "no action";
}

bool reason_is_of_proxy(enum sw_reason reason)
{
	switch (reason) {
	case SW_FLOW_OPENED:
	case SW_FLOW_SYN_AGAIN:
	case SW_FLOW_SEGMENT:
	case SW_FLOW_SYN:
	case SW_FLOW_FAILED:
	case SW_FLOW_HELD:
	case SW_LARGE_STRAY:
	case SW_DIRECT_SEGMENT:
	case SW_ACK_UNPROVEN:
		return true;
	default:
		return false;
	}
}

__u64 clock_now_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

void wait_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

void on_server(const char *command)
{
	cr_assert_eq(system(command), 0, "%s", command);
}

static void enter(int ns)
{
	cr_assert_eq(setns(ns, CLONE_NEWNET), 0);
}

void on_client(const char *command)
{
	enter(client_ns);
	on_server(command);
	enter(server_ns);
}

void set_sysctl(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	fd = open(path, O_WRONLY);
	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(write(fd, value, strlen(value)), (ssize_t)strlen(value), "%s", path);
	close(fd);
}

static int new_namespace(void)
{
	cr_assert_eq(unshare(CLONE_NEWNET), 0, "needs root");
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

void enter_new_namespace(void)
{
	close(new_namespace());
	on_server("ip link set lo up");
}

void return_to_server(void)
{
	enter(server_ns);
}

static void make_network(void)
{
	char command[1024];

	client_ns = new_namespace();
	server_ns = new_namespace();
	snprintf(command, sizeof(command),
		 "ip -batch - <<-E\n"
		 "link set lo up\n"
		 "link add v0 address 02:00:00:00:00:01 type veth peer name v1 address 02:00:00:00:00:02\n"
		 "link set v1 netns /proc/%d/fd/%d\n"
		 "addr add " SERVER "/24 broadcast + dev v0\n"
		 "addr add " SERVER6 "/64 dev v0 nodad\n"
		 "link set v0 up\n"
		 "E\n",
		 getpid(), client_ns);
	on_server(command);
	on_client("ip -batch - <<-E\n"
		  "link set lo up\n"
		  "addr add " CLIENT "/24 dev v1\n"
		  "addr add " CLIENT6 "/64 dev v1 nodad\n"
		  "link set v1 up\n"
		  "E\n");
	ifindex = (int)if_nametoindex("v0");
}

static socklen_t fill_address(struct sockaddr_storage *ss, const char *text, __u16 port, bool v6)
{
	struct sockaddr_in6 *sin6 = (void *)ss;
	struct sockaddr_in *sin = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	if (v6) {
		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(port);
		inet_pton(AF_INET6, text, &sin6->sin6_addr);
		return sizeof(*sin6);
	}
	sin->sin_family = AF_INET;
	sin->sin_port = htons(port);
	inet_pton(AF_INET, text, &sin->sin_addr);
	return sizeof(*sin);
}

int listen_on(int family, __u16 port, int backlog)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	struct sockaddr_storage ss;
	socklen_t length = fill_address(&ss, family == AF_INET6 ? "::" : "0.0.0.0", port,
					family == AF_INET6);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	cr_assert_eq(bind(fd, (void *)&ss, length), 0, "bind: %s", strerror(errno));
	cr_assert_eq(listen(fd, backlog), 0);
	return fd;
}

int client_socket(int family, int type, int protocol)
{
	int fd;

	enter(client_ns);
	fd = socket(family, type | SOCK_CLOEXEC, protocol);
	cr_assert_geq(fd, 0);
	enter(server_ns);
	return fd;
}

int client_packet_socket(void)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct timeval second = { .tv_sec = 1 };
	int fd = client_socket(AF_PACKET, SOCK_RAW, 0);

	enter(client_ns);
	ll.sll_ifindex = (int)if_nametoindex("v1");
	enter(server_ns);
	cr_assert_eq(bind(fd, (void *)&ll, sizeof(ll)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	return fd;
}

void connect_to(struct connection *c, int listener, bool v6, __u16 sport)
{
	struct sockaddr_storage ss;
	socklen_t length = fill_address(&ss, v6 ? CLIENT6 : CLIENT, sport, v6);
	int on = 1;

	c->client = client_socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	setsockopt(c->client, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	cr_assert_eq(bind(c->client, (void *)&ss, length), 0, "bind: %s", strerror(errno));
	length = sizeof(ss);
	getsockname(listener, (void *)&ss, &length);
	length = fill_address(&ss, v6 ? SERVER6 : SERVER, ntohs(((struct sockaddr_in *)&ss)->sin_port), v6);
	cr_assert_eq(connect(c->client, (void *)&ss, length), 0, "connect: %s", strerror(errno));
	c->server = accept(listener, NULL, NULL);
	cr_assert_geq(c->server, 0);
	c->segment = (struct segment){
		.v6 = v6,
		.sport = sport,
		.dport = ntohs(((struct sockaddr_in *)&ss)->sin_port),
		.ack = 1,
	};
}

void shake_hands(struct handshake *h, const struct segment *syn)
{
	struct frame f = frame_of(syn);
	struct outcome o = guard_run(&f);
	const __u8 *ts;
	__u32 length;

	h->synack = guard_reply(&o);
	h->ack = *syn;
	h->ack.flags = ACK;
	h->ack.seq = h->synack.ack;
	h->ack.ack = h->synack.seq + 1;
	h->ack.options = h->ack.data = (struct bytes){};
	ts = seen_option(&h->synack, 8, &length);
	if (ts) {
		static const __u8 head[8] = { 1, 1, 8, 10, 1, 2, 3, 9 };

		memcpy(h->ts, head, 8);
		memcpy(h->ts + 8, ts, 4);
		h->ack.options = (struct bytes){ h->ts, sizeof(h->ts) };
	}
}

/* Keys are the same in each run; the clock stands one second into an epoch, so a test never crosses two. */
static void set_defaults(void)
{
	__u64 now = clock_now_ns(CLOCK_MONOTONIC), epoch = 1ULL << SW_EPOCH_SHIFT;

	memset(guard.config.port, 0xff, sizeof(guard.config.port));
	guard.policy.count = 1;
	guard.policy.service[0] = (struct sw_service){
		.mode = SW_MODE_ALWAYS,
		.port_first = 1,
		.port_last = 65535,
		.name = "all",
	};
	guard.config.rmem_max = 4194304;
	guard.clock_ns = 50000000 * epoch + 1000000000ULL;
	guard.config.epoch_offset_ns = guard.clock_ns - now;
	for (unsigned int i = 0; i < sizeof(guard.secrets); i++)
		((__u8 *)&guard.secrets)[i] = (__u8)(i * 37 + 11);
	guard.secrets.cookie.switch_epoch = 0;
}

void guard_configure(void)
{
	__u32 zero = 0;

	guard.config.generation++;
	cr_assert_eq(bpf_map_update_elem(object_map(object, "config"), &zero, &guard.config, 0), 0);
	cr_assert_eq(bpf_map_update_elem(object_map(object, "secrets"), &zero, &guard.secrets, 0), 0);
	cr_assert_eq(bpf_map_update_elem(object_map(object, "services"), &zero, &guard.policy, 0), 0);
}

void guard_start(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, run);

	cr_assert_eq(bpf_prog_test_run_opts(object_program(object, "synward_start"), &run), 0);
	cr_assert_eq((int)run.retval, 0, "synward_start: %d", (int)run.retval);
}

void guard_spoil_spare_filter(void)
{
	__u64 ones = ~0ULL;

	for (__u32 i = 0; i < SW_KNOWN_WORDS_MIN; i++) {
		__u32 at = SW_KNOWN_WORDS + i;

		cr_assert_eq(bpf_map_update_elem(object_map(object, "known"), &at, &ones, 0), 0);
	}
}

/* One CPU: profiles and budgets are each CPU's own. */
static void stay_on_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	cr_assert_eq(sched_setaffinity(0, sizeof(set), &set), 0);
}

static int print_nothing_but_warnings(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

static void load(enum sw_path which, bool older)
{
	loaded = which;
	stay_on_this_cpu();
	make_network();
	guard.listener = listen_on(AF_INET, SERVER_PORT, 128);
	guard.listener6 = listen_on(AF_INET6, SERVER_PORT, 128);

	libbpf_set_print(print_nothing_but_warnings);
	object = object_open(loaded);
	cr_assert_not_null(object);
	if (older) {
		cr_assert_eq(object_constant(object, "sw_older", &older, sizeof(older)), 0);
		cr_assert_eq(object_steps(object), 0);
	}
	object_autoload(object, OBJECT_TC, false); /* not run here, a quarter of the load */
	bpf_program__set_flags(bpf_object__find_program_by_name(object, OBJECT_XDP), BPF_F_XDP_HAS_FRAGS);
	cr_assert_eq(bpf_object__load(object), 0, "the program is refused");
	set_defaults();
	guard_configure();
	guard_start();
}

void guard_up(void)
{
	load(SW_PATH_HOST, false);
}

static void up_compat(bool older)
{
	load(SW_PATH_COMPAT, older);
	set_sysctl("ipv4/tcp_syncookies", "2");
	set_sysctl("ipv4/tcp_timestamps", "2");
}

void guard_up_compat(void)
{
	up_compat(false);
}

void guard_up_older(void)
{
	up_compat(true);
}

static void add_counters(__u32 entry, struct sw_counters *sum)
{
	int cpus = libbpf_num_possible_cpus();
	struct sw_counters each[cpus];

	cr_assert_eq(bpf_map_lookup_elem(object_map(object, "counters"), &entry, each), 0);
	for (int cpu = 0; cpu < cpus; cpu++) {
		for (int i = 0; i < SW_REASON_COUNT; i++)
			sum->verdict[i] += each[cpu].verdict[i];
		for (int i = 0; i < SW_EVENT_COUNT; i++)
			sum->event[i] += each[cpu].event[i];
	}
}

static void read_counters(struct sw_counters *ret_sum)
{
	memset(ret_sum, 0, sizeof(*ret_sum));
	add_counters(0, ret_sum);
	add_counters(SW_COUNTERS_SERVICE, ret_sum); /* slot 0 is all there is */
}

struct sw_service_state guard_state(void)
{
	struct sw_service_state state;
	__u32 zero = 0;

	cr_assert_eq(bpf_map_lookup_elem(object_map(object, "service_state"), &zero, &state), 0);
	return state;
}

__u64 guard_would(enum sw_reason reason)
{
	struct sw_counters sum = {};

	add_counters(SW_COUNTERS_WOULD, &sum);
	return sum.verdict[reason];
}

void guard_list(const char *address, unsigned int length, enum sw_listed listed)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	struct sw_list_key key = { .prefix_length = length };
	__u32 value = listed, zero = 0;
	int fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "list", sizeof(key), sizeof(value), 16, &opts);

	cr_assert_geq(fd, 0);
	if (inet_pton(AF_INET6, address, key.addr) != 1) {
		key.addr[10] = key.addr[11] = 0xff;
		key.prefix_length += 96;
		inet_pton(AF_INET, address, key.addr + 12);
	}
	cr_assert_eq(bpf_map_update_elem(fd, &key, &value, 0), 0);
	cr_assert_eq(bpf_map_update_elem(object_map(object, "lists"), &zero, &fd, 0), 0);
	close(fd);
	guard.policy.lists = 1;
}

struct noticed {
	enum sw_notice_kind kind;
	struct sw_notice *last;
	int count;
};

static int take_notice(void *arg, void *data, size_t size)
{
	struct noticed *n = arg;
	struct sw_notice *notice = data;

	cr_assert_eq(size, sizeof(*notice));
	cr_assert_eq(notice->size, size);
	if (notice->kind != n->kind)
		return 0;
	n->count++;
	if (n->last)
		*n->last = *notice;
	return 0;
}

int guard_notices(enum sw_notice_kind kind, struct sw_notice *ret)
{
	struct noticed n = { kind, ret, 0 };
	struct ring_buffer *ring = ring_buffer__new(object_map(object, "events"), take_notice, &n, NULL);

	cr_assert_not_null(ring);
	ring_buffer__consume(ring);
	ring_buffer__free(ring);
	return n.count;
}

__u64 guard_verdicts(enum sw_reason reason)
{
	struct sw_counters c;

	read_counters(&c);
	return c.verdict[reason];
}

bool guard_notes(void)
{
	__u64 hash;

	return !bpf_map_get_next_key(object_map(object, "notes"), NULL, &hash);
}

__u64 guard_events(enum sw_event event)
{
	struct sw_counters c;

	read_counters(&c);
	return c.event[event];
}

static enum sw_reason the_one_verdict(const struct sw_counters *before)
{
	struct sw_counters after;
	int reason = -1;

	read_counters(&after);
	for (int i = 0; i < SW_REASON_COUNT; i++) {
		if (after.verdict[i] == before->verdict[i])
			continue;
		cr_assert_eq(after.verdict[i], before->verdict[i] + 1, "%s counted twice", names[i]);
		cr_assert_eq(reason, -1, "%s counted and %s too", names[i], reason_name(reason));
		reason = i;
	}
	cr_assert_neq(reason, -1, "no verdict counted");
	return (enum sw_reason)reason;
}

/* PSH is set in a segment with data that is handed over, and its checksum follows: nothing else may change. */
static void take_push_back(struct frame *out, const struct frame *in)
{
	__u32 at = 0, sum;

	while (at + 5 < in->length && out->byte[at] == in->byte[at])
		at++;
	if (out->byte[at] != (in->byte[at] | PSH))
		return;
	sum = (__u16)~(in->byte[at + 3] << 8 | in->byte[at + 4]) + PSH;
	sum = ~(sum + (sum >> 16));
	if (out->byte[at + 3] != (__u8)(sum >> 8) || out->byte[at + 4] != (__u8)sum)
		return;
	memcpy(out->byte + at, in->byte + at, 5);
}

void guard_repeat(const struct frame *f, int times)
{
	struct xdp_md ctx = { .data_end = f->length, .ingress_ifindex = (__u32)ifindex };
	static __u8 out[2 * FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = f->byte, .data_size_in = f->length,
		    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = times);

	cr_assert_eq(bpf_prog_test_run_opts(object_program(object, "synward_xdp"), &run), 0);
}

struct outcome guard_run(const struct frame *f)
{
	static __u8 in[FRAME_MAX + 256], out[2 * FRAME_MAX];
	struct xdp_md ctx_in = {
		.data = f->meta,
		.data_end = f->meta + (f->linear ?: f->length),
		.ingress_ifindex = (__u32)ifindex,
	};
	struct xdp_md ctx_out = {};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in, .data_size_in = f->meta + f->length,
		    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &ctx_in,
		    .ctx_size_in = sizeof(ctx_in), .ctx_out = &ctx_out, .ctx_size_out = sizeof(ctx_out),
		    .repeat = 1);
	struct sw_counters before;
	struct outcome o;

	memcpy(in + f->meta, f->byte, f->length);
	read_counters(&before);
	cr_assert_eq(bpf_prog_test_run_opts(object_program(object, "synward_xdp"), &run), 0,
		     "test run of %u bytes: %s", f->length, strerror(errno));
	o.action = (int)run.retval;
	o.reason = the_one_verdict(&before);
	o.cost_ns = run.duration;
	cr_assert_eq(o.action, actions[o.reason], "%s and XDP_%s", names[o.reason], action_name(o.action));

	o.frame.l3 = f->l3;
	o.frame.l4 = 0;
	o.frame.linear = o.frame.meta = 0;
	o.frame.length = run.data_size_out - ctx_out.data;
	cr_assert_leq(o.frame.length, FRAME_MAX);
	memcpy(o.frame.byte, out + ctx_out.data, o.frame.length);
	/* HANDSHAKE_LIMIT: made ready for the hand-over, then dropped. */
	if (o.action != XDP_TX && o.reason != SW_HANDSHAKE_LIMIT && o.reason != SW_NO_ROOM) {
		cr_assert_eq(o.frame.length, f->length, "%s: length changed", names[o.reason]);
		if (o.reason == SW_ACK_VALID)
			take_push_back(&o.frame, f);
		cr_assert_arr_eq(o.frame.byte, f->byte, f->length, "%s: bytes changed", names[o.reason]);
	}
	o.handed = ctx_out.data >= f->meta + sizeof(o.handoff);
	memset(&o.handoff, 0, sizeof(o.handoff));
	if (o.handed)
		memcpy(&o.handoff, out, sizeof(o.handoff));
	if (f->meta < META_MOST && o.reason != SW_HANDSHAKE_LIMIT) /* which is dropped with its record */
		cr_assert_eq(o.handed, o.reason == SW_ACK_VALID && loaded == SW_PATH_HOST, "%s: hand-off record",
			     names[o.reason]);
	return o;
}

struct seen guard_reply(const struct outcome *o)
{
	struct seen s;

	ASSERT_OUTCOME(*o, SW_SYNACK_SENT);
	s = frame_read(&o->frame);
	cr_assert_null(s.wrong, "reply: %s", s.wrong);
	cr_assert_eq(s.flags & ~ECE, SYN | ACK, "flags %x", s.flags);
	return s;
}
