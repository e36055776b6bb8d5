/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The secret that the machines of a group share: a file of one line, 32 bytes or more in
 * hex or base64, that only root can read; and the keys that are derived from it.
 */
#ifndef SYNWARD_KEYFILE_H
#define SYNWARD_KEYFILE_H

#include <stddef.h>

#include "siphash.h"
#include "why.h"

#define KEYFILE_DEFAULT_PATH "/etc/synward/cluster.key"
#define KEYFILE_BYTES_MAX 4096
#define KEYFILE_SECRET_MIN 32 /* bytes */

/* What is kept of it: HKDF's extracted key (RFC 5869). To be wiped after use. */
struct keyfile_secret {
	__u8 prk[32];
};

int keyfile_read(const char *path, struct keyfile_secret *ret, struct why *why);

/* A new one, of random bytes; a file that is there stays as it is (-EEXIST). */
int keyfile_generate(const char *path, struct why *why);

/* The secret of a file's text; -EINVAL. Wipes nothing of what it is given. */
int keyfile_parse(const char *text, size_t length, struct keyfile_secret *ret, struct why *why);

/* keyring_derive: HKDF-SHA256 (RFC 5869), docs/cluster.md has the formula. */
void keyfile_derive(const void *secret, __u32 period, struct sw_key *ret);

void keyfile_wipe(struct keyfile_secret *secret);

#endif
