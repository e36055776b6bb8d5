/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the server's TCP sends on an interface: a packet socket, filtered in the kernel.
 * Nothing is attached that could be left behind.
 */
#ifndef SYNWARD_TAP_H
#define SYNWARD_TAP_H

#include "guard.h"
#include "segment.h"

int tap_open(const struct guard *g, const struct sw_trace_filter *filter, struct why *why);

/* The next segment, or -EAGAIN; -ENOMSG for a frame that is none. */
int tap_read(int fd, struct segment *ret);

/* Frames the socket had no room for since the last call. */
__u32 tap_lost(int fd);

#endif
