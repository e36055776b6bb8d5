// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "flood.h"
#include "run.h"

#define NS_PER_S 1000000000ULL
#define NO_LIMIT 1000000000U /* frames a call; a signal ends it */
#define PACE_FRAMES 128      /* a limited flood sends that many at once: half of a veth's ring */
#define PACE_LEAST_NS 100000
#define PACE_MOST_NS 1000000
#define BATCH_DEFAULT 64

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	stop = 1;
}

/* The end of the time is a signal, too: it ends a run in the kernel within a batch. */
static int arm(double seconds)
{
	struct sigaction act = {.sa_handler = on_signal}; /* no SA_RESTART */
	struct itimerval timer = {
		.it_value = {.tv_sec = (time_t)seconds,
			     .tv_usec = (seconds - (time_t)seconds) * 1e6},
		/* Again and again: the first may fall between two runs. */
		.it_interval = {.tv_usec = 10000},
	};

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGALRM, &act, NULL);
	return setitimer(ITIMER_REAL, &timer, NULL) ? -errno : 0;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int run_once(int prog_fd, size_t frame_bytes, uint32_t frames)
{
	char frame[FLOOD_FRAME_MAX] = {};
	struct xdp_md ctx = {.data_end = frame_bytes};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = frame_bytes,
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = frames,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
		    .batch_size = frames < BATCH_DEFAULT ? frames : BATCH_DEFAULT);
	int r = bpf_prog_test_run_opts(prog_fd, &opts);

	return r == -EINTR ? 0 : r;
}

static void sleep_until(uint64_t at_ns)
{
	struct timespec at = {.tv_sec = at_ns / NS_PER_S, .tv_nsec = at_ns % NS_PER_S};

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

/* What is due by now, of a late flood one piece after the other: no burst that fills a veth's ring.
 */
static uint32_t frames_due(uint64_t rate_pps, uint64_t pace, uint64_t elapsed_ns, uint64_t sent)
{
	uint64_t total = (unsigned __int128)elapsed_ns * rate_pps / NS_PER_S;
	uint64_t piece = rate_pps * pace / NS_PER_S + 1;

	if (total <= sent)
		return 0;
	return total - sent < piece ? total - sent : piece;
}

static uint64_t pace_ns(uint64_t rate_pps)
{
	uint64_t pace = PACE_FRAMES * NS_PER_S / rate_pps;

	if (pace < PACE_LEAST_NS)
		return PACE_LEAST_NS;
	return pace < PACE_MOST_NS ? pace : PACE_MOST_NS;
}

/*
 * The first user of an XDP program has the kernel patch the program into its dispatcher
 * (bpf_prog_change_xdp), the last has it taken out: 20 ms of waiting for RCU in each
 * run. Attached in a network namespace of its own, where nothing travels, the program
 * always has a user more. Without it a flood is only less even. The descriptors stay
 * open: they hold the attachment until this process ends.
 */
static void hold_program(int prog_fd)
{
	const unsigned int lo = 1;
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (here < 0 || unshare(CLONE_NEWNET))
		return;
	if (open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC) >= 0)
		(void)bpf_link_create(prog_fd, lo, BPF_XDP, NULL);
	(void)setns(here, CLONE_NEWNET);
	close(here);
}

static int run_paced(int prog_fd, size_t frame_bytes, const volatile __u64 *sent, uint64_t rate_pps)
{
	uint64_t start = now_ns(), next = start, pace = pace_ns(rate_pps);
	uint32_t due;
	int r = 0;

	(void)prctl(PR_SET_TIMERSLACK, 1000UL);
	while (!stop && !r) {
		next += pace;
		sleep_until(next);
		due = frames_due(rate_pps, pace, now_ns() - start, *sent);
		if (due)
			r = run_once(prog_fd, frame_bytes, due);
	}
	return r;
}

int run_flood(int prog_fd, size_t frame_bytes, const volatile __u64 *sent,
	      const struct run_limits *limits, double *ret_seconds)
{
	bool paced = limits->rate_pps && !limits->even;
	uint64_t start;
	int r;

	if (paced)
		hold_program(prog_fd);
	r = arm(limits->seconds);
	if (r)
		return r;
	start = now_ns();
	if (paced)
		r = run_paced(prog_fd, frame_bytes, sent, limits->rate_pps);
	else
		while (!stop && !r)
			r = run_once(prog_fd, frame_bytes, NO_LIMIT);
	*ret_seconds = (now_ns() - start) / (double)NS_PER_S;
	return r;
}
