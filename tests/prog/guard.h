/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A guarded server to send frames at, of each test's own:
 *
 *   client namespace                      server namespace (the test runs here)
 *   v1 02:00:00:00:00:02 ---- veth ---- v0 02:00:00:00:00:01
 *      192.0.2.2/24, 2001:db8::2/64        192.0.2.1/24, 2001:db8::1/64
 *                                          listens on port 80, IPv4 and IPv6
 *
 * Nothing is attached: frames are run through the program with BPF_PROG_TEST_RUN as if
 * v0 had received them. The veth carries real connections, for the kernel to know.
 */
#ifndef SYNWARD_TESTS_GUARD_H
#define SYNWARD_TESTS_GUARD_H

#include <linux/bpf.h>
#include <stdio.h>
#include <time.h>
#include <criterion/criterion.h>

#include "abi.h"
#include "frame.h"

/* What tc ingress finds in front of a frame: bpf/lib/handoff.h, and struct bpf_tcp_req_attrs of the kernel. */
struct handoff {
	__u32 magic;
	__u32 rcv_tsval, rcv_tsecr;
	__u16 mss;
	__u8 rcv_wscale, snd_wscale;
	__u8 ecn_ok, wscale_ok, sack_ok, tstamp_ok, usec_ts_ok;
	__u8 reserved[3];
};
_Static_assert(sizeof(struct handoff) == 24, "as struct sw_handoff");
#define HANDOFF_MAGIC 0x73796e77
#define META_MOST     212 /* bytes of metadata in front that leave no room for it */

struct outcome {
	int action;
	enum sw_reason reason;
	bool handed; /* a struct handoff was left in front */
	struct handoff handoff;
	__u32 cost_ns;
	struct frame frame; /* as it came out */
};

struct guard {
	struct sw_config config;
	struct sw_secrets secrets;
	struct sw_policy policy; /* one service in slot 0: all, always */
	__u64 clock_ns; /* clock of the epochs at guard_up() */
	int listener, listener6;
};
extern struct guard guard;

/* Test fixture: all of the drawing, the programs loaded and started. */
void guard_up(void);
/* The same on the compat path, with the sysctls that it keeps all options with. */
void guard_up_compat(void);
/* The same, as on Linux 5.15: without the helpers that came later. */
void guard_up_older(void);
/* Makes guard.config, secrets and policy count; listeners are read afresh. */
void guard_configure(void);
/* Runs synward_start again: an upgrade, or a later attach. */
void guard_start(void);

/* Slot 0: its state, the verdicts its frames got, and those they would have got. */
struct sw_service_state guard_state(void);
__u64 guard_would(enum sw_reason reason);
/* Puts a list of one prefix in front of slot 0. */
void guard_list(const char *address, unsigned int length, enum sw_listed listed);
/* Notices that have come since the last call; *ret the last one of that kind. */
int guard_notices(enum sw_notice_kind kind, struct sw_notice *ret);

/* Fills the generation of the presence filter that is not asked: a rebuild must clear it. */
void guard_spoil_spare_filter(void);

/*
 * Runs one frame. For every frame of every test: exactly one verdict is counted, the
 * action is that verdict's, and only a reply changes a byte.
 */
struct outcome guard_run(const struct frame *f);
/* The same frame, which must pass or be dropped, so many times in no time. */
void guard_repeat(const struct frame *f, int times);
__u64 guard_verdicts(enum sw_reason reason);
__u64 guard_events(enum sw_event event);
bool guard_notes(void); /* a hand-off record waits in the map for frames without room */
const char *reason_name(int reason);
const char *action_name(int action);
/* Only the program of proxy mode reaches them: tests/net/test_proxy_reasons.py does that. */
bool reason_is_of_proxy(enum sw_reason reason);

#define ASSERT_OUTCOME(outcome, want)                                                         \
	cr_assert_eq((outcome).reason, want, "%s, not %s", reason_name((outcome).reason), #want)
#define RUN(frame_)                                                                           \
	({                                                                                    \
		struct frame sent_ = (frame_);                                                \
		guard_run(&sent_);                                                            \
	})
#define ASSERT_VERDICT(frame_, want)                                                          \
	({                                                                                    \
		struct outcome outcome_ = RUN(frame_);                                        \
		ASSERT_OUTCOME(outcome_, want);                                               \
		outcome_;                                                                     \
	})

/* The reply of an outcome, read; asserts that there is one and that it is a right segment. */
struct seen guard_reply(const struct outcome *o);

/* Runs a shell command, here or where the client is; asserts that it succeeds. */
void on_server(const char *command);
void on_client(const char *command);
void set_sysctl(const char *name, const char *value);

int listen_on(int family, __u16 port, int backlog);
/* A socket that lives in the client's namespace. */
int client_socket(int family, int type, int protocol);
int client_packet_socket(void); /* sees all of v1 */

/* A real connection; segment is a frame of it as the client would send it, without flags. */
struct connection {
	int client, server;
	struct segment segment;
	char from[INET6_ADDRSTRLEN];
};
void connect_to(struct connection *c, int listener, bool v6, __u16 sport);

/* A handshake up to its ACK: the SYN is sent, its SYN-ACK read, the ACK built from it. */
struct handshake {
	struct seen synack;
	struct segment ack;
	__u8 ts[12]; /* the ACK's options, if the SYN-ACK had timestamps */
};
void shake_hands(struct handshake *h, const struct segment *syn);
#define SHAKE_HANDS(h, ...) shake_hands(h, &(struct segment){ .flags = SYN, ##__VA_ARGS__ })

/* Enters a new, empty namespace for a while; returns to the server's. */
void enter_new_namespace(void);
void return_to_server(void);

/* That clock, in ns. */
__u64 clock_now_ns(clockid_t id);
void wait_ms(unsigned int ms);

#endif
