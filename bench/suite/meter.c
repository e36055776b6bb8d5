// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * meter CPU KSOFTIRQD_PID: runs programs on frames, on one CPU, and tells what they cost.
 * Reads a command a line and answers each with a line, "ok ..." or "error ...":
 *
 *   work NAME FLOOD_ARGUMENT...         frames, described as flood's command line does
 *   fixed NAME SPORT FLOOD_ARGUMENT...  the same, always from that port, with nothing random
 *   frame NAME LENGTH STEP HEX          one TCP/IPv4 frame: HEX, then zeros up to LENGTH;
 *                                       STEP more in sequence number each time
 *   replay WORK NETNS IFACE SYSTEM N    N frames to a program, without a wire: ns each, verdict
 *   live WORK NETNS IFACE N             N frames out of a veth: CPU ns, frames
 *   attach NETNS IFACE PROGRAM          puts a program of the meter's own on, detach takes it off
 *   detach NETNS IFACE
 *   back                                frames that reached sinks so far
 *   fill PATH                           sets every bit of a pinned array
 *   flows PATH BITS CLIENT SPORT SERVER DPORT
 *                                       established flows of 2^BITS clients into a pinned table
 *   programs                            id name verified instructions, for each loaded
 *
 * SYSTEM: bare_drop, bare_tx, bare_pass, or attached, what IFACE has on.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "frame.h"
#include "settings.h"
#include "suite/tables.h"
#include "bench/suite/meter.skel.h"

#define NS_PER_S 1000000000ULL
#define WORDS_MOST 32
#define WORKS_MOST 64
#define WIRE_LEAST 60 /* bytes, as a wire pads */
#define FRAME_MOST 1514
/*
 * Bytes more than any frame has, so that each is shortened. A live frame whose length was
 * left alone keeps the one its last receiver gave it: the kernel's xdp_test_run_batch()
 * looks at the buffer only if the program changed it.
 */
#define ROOM_OVER 8

struct work {
	char name[32];
	struct meter_bpf *skel;
	unsigned int room; /* bytes, of its longest frame */
};

static struct work works[WORKS_MOST];
static unsigned int work_count;
static struct meter_bpf *own; /* bare programs, sinks, load client */
static clockid_t ksoftirqd;

__attribute__((format(printf, 1, 2))) static int fail(const char *format, ...)
{
	va_list args;

	fputs("error ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	return -1;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t = {};

	clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int enter(const char *netns)
{
	char path[96];
	int fd, r;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail("%s: %s", path, strerror(errno));
	r = setns(fd, CLONE_NEWNET);
	close(fd);
	return r ? fail("setns: %s", strerror(errno)) : 0;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void put(struct flood_frame *f, unsigned int at, const void *value, size_t bytes)
{
	memcpy(f->byte + at, value, bytes);
}

/* A whole IPv4 segment, from the first address of the sources and this port. */
static void complete(struct flood_frame *f, const struct settings *s, uint16_t sport)
{
	unsigned int ip = frame_l3_at(&s->spec), l4 = frame_l4_at(&s->spec);
	uint32_t saddr;
	uint16_t port = htons(sport), sum;

	memcpy(&saddr, &s->sources.address, sizeof(saddr));
	put(f, ip + 12, &saddr, sizeof(saddr));
	sum = ~fold((uint64_t)f->ip_sum + saddr);
	put(f, ip + 10, &sum, sizeof(sum));
	put(f, l4, &port, sizeof(port));
	sum = ~fold((uint64_t)f->l4_sum + saddr + port);
	put(f, l4 + f->csum_at, &sum, sizeof(sum));
}

static void source_words(const struct settings *s, uint64_t source[2], uint64_t mask[2])
{
	uint8_t address[16] = {}, random[16] = {};
	unsigned int bytes = s->family == AF_INET ? 4 : 16;

	memcpy(address, &s->sources.address, bytes);
	for (unsigned int i = 0; i < bytes; i++) {
		unsigned int fixed = s->sources.length > i * 8 ? s->sources.length - i * 8 : 0;

		random[i] = fixed >= 8 ? 0 : 0xff >> fixed;
		address[i] &= ~random[i];
	}
	memcpy(source, address, sizeof(address));
	memcpy(mask, random, sizeof(random));
}

static void describe(struct meter_bpf *skel, const struct settings *s, int sport)
{
	struct meter_bpf__rodata *to = skel->rodata;

	source_words(s, (uint64_t *)to->source, (uint64_t *)to->source_mask);
	for (unsigned int i = 0; i < s->kind_count; i++) {
		struct flood_frame *f = (struct flood_frame *)&to->frames[i];

		frame_build(&s->spec, s->kinds[i], f);
		if (sport)
			complete(f, s, sport);
		if (f->length < WIRE_LEAST)
			f->length = WIRE_LEAST;
		if (f->length + ROOM_OVER > to->frame_room)
			to->frame_room = f->length + ROOM_OVER;
	}
	to->frame_count = s->kind_count;
	to->l3_at = frame_l3_at(&s->spec);
	to->l4_at = frame_l4_at(&s->spec);
	to->v6 = s->spec.v6;
	to->any_port = !s->spec.port;
	to->sport = s->spec.sport;
	to->any_unicast = s->sources.all;
	to->as_is = sport != 0;
}

/* A skeleton to describe a work in, for finish_work(); NULL if there are too many. */
static struct meter_bpf *begin_work(void)
{
	struct meter_bpf *skel = work_count < WORKS_MOST ? meter_bpf__open() : NULL;

	if (!skel)
		fail("no more works");
	return skel;
}

static int finish_work(const char *name, struct meter_bpf *skel)
{
	struct work *w = &works[work_count];
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, skel->obj) bpf_program__set_autoload(
		prog, prog == skel->progs.replay || prog == skel->progs.live);
	if (meter_bpf__load(skel)) {
		meter_bpf__destroy(skel);
		return fail("cannot load the generator: %s", strerror(errno));
	}
	if (getrandom(&skel->bss->random_state, sizeof(skel->bss->random_state), 0) < 0)
		skel->bss->random_state = time(NULL);
	*w = (struct work){.skel = skel, .room = skel->rodata->frame_room};
	snprintf(w->name, sizeof(w->name), "%s", name);
	work_count++;
	return puts("ok") < 0;
}

static int load_work(const char *name, int sport, int count, char **argument)
{
	char *argv[WORDS_MOST + 2] = {"meter", "veth"};
	struct settings s = {.spec = {.port = 80, .options = tcp_options},
			     .kinds = {frame_kinds},
			     .kind_count = 1,
			     .cpu = -1};
	struct meter_bpf *skel = begin_work();

	if (!skel)
		return -1;
	memcpy(argv + 2, argument, count * sizeof(*argv));
	settings_parse(&s, count + 2, argv);
	describe(skel, &s, sport);
	return finish_work(name, skel);
}

static int do_work(int count, char **word)
{
	return load_work(word[0], 0, count - 1, word + 1);
}

static int do_fixed(int count, char **word)
{
	return load_work(word[0], atoi(word[1]), count - 2, word + 2);
}

static int do_frame(int count, char **word)
{
	struct meter_bpf *skel = begin_work();
	unsigned int byte, i;
	struct flood_frame *f;

	if (!skel)
		return -1;
	f = (struct flood_frame *)&skel->rodata->frames[0];
	for (i = 0; i < FLOOD_FRAME_MAX && sscanf(word[3] + 2 * i, "%2x", &byte) == 1; i++)
		f->byte[i] = byte;
	f->length = atoi(word[1]);
	if (f->length < i || f->length > FRAME_MOST)
		return fail("a frame has %u to %u bytes", i, FRAME_MOST);
	skel->rodata->frame_room = f->length + ROOM_OVER;
	skel->rodata->as_is = 1;
	skel->rodata->seq_step = atoi(word[2]);
	return finish_work(word[0], skel);
}

static struct work *find_work(const char *name)
{
	for (unsigned int i = 0; i < work_count; i++)
		if (!strcmp(works[i].name, name))
			return &works[i];
	fail("no work '%s'", name);
	return NULL;
}

/* A program's descriptor; the caller closes it. */
static int open_system(const char *name, int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct bpf_program *prog;
	int r;

	if (strcmp(name, "attached")) {
		prog = bpf_object__find_program_by_name(own->obj, name);
		return prog ? dup(bpf_program__fd(prog)) : fail("no program '%s'", name);
	}
	r = bpf_xdp_query(ifindex, 0, &query);
	if (!r)
		r = bpf_prog_get_fd_by_id(query.prog_id);
	return r < 0 ? fail("no XDP program: %s", strerror(-r)) : r;
}

static int run(const struct bpf_program *prog, unsigned int room, int ifindex, uint32_t repeat,
	       uint32_t flags, uint32_t *ret_ns, uint32_t *ret_verdict)
{
	uint8_t frame[FRAME_MOST + ROOM_OVER] = {};
	struct xdp_md ctx = {.data_end = room, .ingress_ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = room, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = repeat, .flags = flags);
	int r = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);

	if (ret_ns)
		*ret_ns = opts.duration;
	if (ret_verdict)
		*ret_verdict = opts.retval;
	return r;
}

static int do_replay(int count, char **word)
{
	struct work *w = find_work(word[0]);
	uint32_t zero = 0, ns, verdict;
	int fd, r;

	if (!w || enter(word[1]))
		return -1;
	fd = open_system(word[3], if_nametoindex(word[2]));
	if (fd < 0)
		return -1;
	r = bpf_map_update_elem(bpf_map__fd(w->skel->maps.measured), &zero, &fd, 0);
	if (!r)
		r = run(w->skel->progs.replay, w->room, if_nametoindex(word[2]), atoi(word[4]), 0,
			&ns, &verdict);
	close(fd);
	return r ? fail("replay: %s", strerror(-r)) : printf("ok %u %u\n", ns, verdict) < 0;
}

static int do_live(int count, char **word)
{
	struct work *w = find_work(word[0]);
	uint64_t cpu, before;
	int r;

	if (!w || enter(word[1]))
		return -1;
	w->skel->bss->out_ifindex = if_nametoindex(word[2]);
	before = w->skel->bss->written;
	/* Softirqs run on this thread's account, or on ksoftirqd's. */
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) + clock_ns(ksoftirqd);
	r = run(w->skel->progs.live, w->room, 0, atoi(word[3]), BPF_F_TEST_XDP_LIVE_FRAMES, NULL,
		NULL);
	cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) + clock_ns(ksoftirqd) - cpu;
	if (r)
		return fail("live: %s", strerror(-r));
	return printf("ok %" PRIu64 " %" PRIu64 "\n", cpu,
		      (uint64_t)w->skel->bss->written - before) < 0;
}

static int do_attach(int count, char **word)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(own->obj, word[2]);
	int r;

	if (enter(word[0]))
		return -1;
	r = prog ? bpf_xdp_attach(if_nametoindex(word[1]), bpf_program__fd(prog),
				  XDP_FLAGS_DRV_MODE, NULL)
		 : -ENOENT;
	return r ? fail("%s on %s: %s", word[2], word[1], strerror(-r)) : puts("ok") < 0;
}

static int do_detach(int count, char **word)
{
	int r;

	if (enter(word[0]))
		return -1;
	r = bpf_xdp_detach(if_nametoindex(word[1]), XDP_FLAGS_DRV_MODE, NULL);
	return r ? fail("detach from %s: %s", word[1], strerror(-r)) : puts("ok") < 0;
}

static int do_back(int count, char **word)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(own->bss->came_back) / sizeof(*own->bss->came_back); i++)
		sum += own->bss->came_back[i];
	return printf("ok %" PRIu64 "\n", sum) < 0;
}

static int do_fill(int count, char **word)
{
	int r = table_fill(word[0]);

	return r ? fail("fill %s: %s", word[0], strerror(-r)) : puts("ok") < 0;
}

static int do_flows(int count, char **word)
{
	struct sw_tuple first = {.sport = atoi(word[3]), .dport = atoi(word[5])};
	struct in_addr client, server;
	int r = -EINVAL;

	if (inet_pton(AF_INET, word[2], &client) == 1 &&
	    inet_pton(AF_INET, word[4], &server) == 1) {
		first.saddr_lo = client.s_addr;
		first.daddr_lo = server.s_addr;
		r = table_flows(word[0], 1U << atoi(word[1]), &first);
	}
	return r ? fail("flows %s: %s", word[0], strerror(-r)) : puts("ok") < 0;
}

static int do_programs(int count, char **word)
{
	struct bpf_prog_info info;
	uint32_t id = 0, length;
	int fd;

	fputs("ok", stdout);
	while (!bpf_prog_get_next_id(id, &id)) {
		memset(&info, 0, sizeof(info));
		length = sizeof(info);
		fd = bpf_prog_get_fd_by_id(id);
		if (fd < 0)
			continue;
		if (!bpf_obj_get_info_by_fd(fd, &info, &length))
			printf(" %u %s %u", id, info.name[0] ? info.name : "-",
			       info.verified_insns);
		close(fd);
	}
	return putchar('\n') < 0;
}

static const struct command {
	const char *name;
	int words; /* at least */
	int (*run)(int count, char **word);
} commands[] = {{"work", 2, do_work},   {"fixed", 3, do_fixed},       {"replay", 5, do_replay},
		{"live", 4, do_live},   {"attach", 3, do_attach},     {"detach", 2, do_detach},
		{"back", 0, do_back},   {"fill", 1, do_fill},         {"frame", 4, do_frame},
		{"flows", 6, do_flows}, {"programs", 0, do_programs}, {}};

static int obey(char *line)
{
	char *word[WORDS_MOST] = {};
	int count = 0;

	for (char *w = strtok(line, " \n"); w && count < WORDS_MOST; w = strtok(NULL, " \n"))
		word[count++] = w;
	for (const struct command *c = commands; count && c->name; c++)
		if (!strcmp(c->name, word[0]) && count > c->words)
			return c->run(count - 1, word + 1);
	return fail("what is that?");
}

static int pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

int main(int argc, char **argv)
{
	char line[1024];

	if (argc != 3 || pin_to_cpu(atoi(argv[1])) ||
	    clock_getcpuclockid(atoi(argv[2]), &ksoftirqd)) {
		fputs("usage: meter CPU KSOFTIRQD_PID\n", stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	libbpf_set_print(NULL);
	own = meter_bpf__open_and_load();
	if (!own) {
		fprintf(stderr, "meter: cannot load its programs: %s\n", strerror(errno));
		return 1;
	}
	while (fgets(line, sizeof(line), stdin))
		(void)obey(line);
	return 0;
}
