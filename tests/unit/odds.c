// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Counts how many random ACKs the cookie check accepts, natively, on all CPUs. Trial n is
 * made from n alone: the count does not depend on the number of CPUs.
 *
 * usage: odds [--tap] [--trials 2^N]      default: 2^28
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../cookies.h"

#define EPOCH 50000000
#define CONTROL_BITS 20 /* one genuine cookie in 2^20 trials: the check is alive */
#define THREADS_MAX 256

struct layout {
	const char *name;
	int tstamp;
	int mac_bits;
};

static const struct layout layouts[] = {
	{"without timestamps", 0, 23},
	{"with timestamps", 1, 29},
};

struct share {
	const struct layout *layout;
	__u64 first, end;                    /* trials */
	__u64 accepted, genuine, recognised; /* counted */
};

/* Any keys do: an attacker knows none. */
static const struct sw_secret secret = {
	.key = {{0x3243f6a8885a308dULL, 0x313198a2e0370734ULL},
		{0xa4093822299f31d0ULL, 0x082efa98ec4e6c89ULL}},
	.switch_epoch = EPOCH - 1, /* both keys are in use: epochs -2 and -1, 0, 1 */
};

static inline __u64 mix(__u64 z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* A forged ACK to 192.0.2.1:443: all the attacker can choose is drawn at random. */
static void *count(void *arg)
{
	struct share *s = arg;
	struct sw_tuple t = {.daddr_lo = 0x010200c0, .dport = 443};
	struct sw_tcpopts seen = {.wscale = SW_WSCALE_NONE}, agreed;
	__u64 n;

	if (s->layout->tstamp)
		seen.flags = SW_OPT_TSTAMP;
	for (n = s->first; n < s->end; n++) {
		__u64 a = mix(n * 2 * 0x9e3779b97f4a7c15ULL + s->layout->tstamp);
		__u64 b = mix((n * 2 + 1) * 0x9e3779b97f4a7c15ULL + s->layout->tstamp);
		__u32 isn = (__u32)b, cookie = (__u32)a;

		t.saddr_lo = a >> 32;
		t.sport = (__u16)(b >> 32);
		seen.tsecr = (__u32)(b >> 48);
		s->accepted += cookie_taken(&secret, &t, isn, cookie, EPOCH, &seen, &agreed);

		if (!(n & ((1U << CONTROL_BITS) - 1))) {
			struct sw_tcpopts offer = {.mss = 1460, .wscale = 7, .flags = seen.flags};

			cookie = cookie_made(&secret, &t, isn, EPOCH, &offer, &seen.tsecr);
			s->genuine++;
			s->recognised +=
				cookie_taken(&secret, &t, isn, cookie, EPOCH, &seen, &agreed);
		}
	}
	return NULL;
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 1 if the count is within 5 standard deviations of what the formula says. */
static int run(const struct layout *layout, int trial_bits, int number)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int threads = cpus < 1 ? 1 : cpus > THREADS_MAX ? THREADS_MAX : (int)cpus, i, good;
	struct share share[THREADS_MAX], sum = {0};
	pthread_t thread[THREADS_MAX];
	double expected = ldexp(1, trial_bits - layout->mac_bits), began = now_s(), sigmas;

	for (i = 0; i < threads; i++) {
		share[i] = (struct share){
			.layout = layout,
			.first = (1ULL << trial_bits) / threads * i,
			.end = i + 1 < threads ? (1ULL << trial_bits) / threads * (i + 1)
					       : 1ULL << trial_bits,
		};
		if (pthread_create(&thread[i], NULL, count, &share[i])) {
			fprintf(stderr, "odds: cannot start a thread\n");
			exit(2);
		}
	}
	for (i = 0; i < threads; i++) {
		pthread_join(thread[i], NULL);
		sum.accepted += share[i].accepted;
		sum.genuine += share[i].genuine;
		sum.recognised += share[i].recognised;
	}
	sigmas = ((double)sum.accepted - expected) / sqrt(expected);
	good = fabs(sigmas) <= 5 && sum.recognised == sum.genuine;
	printf("%sok %d - %s: of 2^%d random ACKs %llu accepted, expected 2^%d = %g (%+.2f "
	       "sigma)\n",
	       good ? "" : "not ", number, layout->name, trial_bits,
	       (unsigned long long)sum.accepted, trial_bits - layout->mac_bits, expected, sigmas);
	printf("# genuine cookies among them recognised: %llu of %llu; %.1f s on %d threads\n",
	       (unsigned long long)sum.recognised, (unsigned long long)sum.genuine, now_s() - began,
	       threads);
	fflush(stdout);
	return good;
}

int main(int argc, char **argv)
{
	int trial_bits = 28, good = 1, i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--tap"))
			continue; /* it always is */
		if (!strcmp(argv[i], "--trials") && i + 1 < argc &&
		    !strncmp(argv[i + 1], "2^", 2)) {
			trial_bits = atoi(argv[++i] + 2);
			if (trial_bits >= 20 && trial_bits <= 40)
				continue;
		}
		fprintf(stderr, "usage: odds [--tap] [--trials 2^N], N from 20 to 40\n");
		return 2;
	}
	printf("1..2\n");
	for (i = 0; i < 2; i++)
		good &= run(&layouts[i], trial_bits, i + 1);
	return !good;
}
