/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Captures as pcapng (IETF draft-ietf-opsawg-pcapng): unlike pcap it has room for what
 * became of a frame, as a comment that Wireshark shows.
 */
#ifndef SYNWARD_PCAPNG_H
#define SYNWARD_PCAPNG_H

#include <stdio.h>

#include "segment.h"

/* File header for one Ethernet interface. Negative errno. */
int pcapng_begin(FILE *f, const char *ifname);

int pcapng_put(FILE *f, const struct segment *s, const char *comment);

#endif
