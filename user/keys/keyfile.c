// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nettle/base16.h>
#include <nettle/base64.h>
#include <nettle/hkdf.h>
#include <nettle/hmac.h>

#include "keyfile.h"

static const char salt[] = "synward cookie keys 1";

#define DISTINCT_MIN 8 /* different bytes: 32 random ones have fewer once in 10^30 */

static void extract(const __u8 *secret, size_t length, struct keyfile_secret *ret)
{
	struct hmac_sha256_ctx hmac;

	hmac_sha256_set_key(&hmac, sizeof(salt) - 1, (const uint8_t *)salt);
	hkdf_extract(&hmac, (nettle_hash_update_func *)hmac_sha256_update,
		     (nettle_hash_digest_func *)hmac_sha256_digest, sizeof(ret->prk), length,
		     secret, ret->prk);
	explicit_bzero(&hmac, sizeof(hmac));
}

void keyfile_derive(const void *secret, __u32 period, struct sw_key *ret)
{
	const struct keyfile_secret *s = secret;
	struct {
		char label[6];
		__u8 period[4]; /* big-endian */
	} info = {{'p', 'e', 'r', 'i', 'o', 'd'},
		  {period >> 24, period >> 16 & 0xff, period >> 8 & 0xff, period & 0xff}};
	struct hmac_sha256_ctx hmac;

	hmac_sha256_set_key(&hmac, sizeof(s->prk), s->prk);
	hkdf_expand(&hmac, (nettle_hash_update_func *)hmac_sha256_update,
		    (nettle_hash_digest_func *)hmac_sha256_digest, sizeof(s->prk), sizeof(info),
		    (const uint8_t *)&info, sizeof(*ret), (uint8_t *)ret);
	explicit_bzero(&hmac, sizeof(hmac));
}

void keyfile_wipe(struct keyfile_secret *secret)
{
	explicit_bzero(secret, sizeof(*secret));
}

static bool is_hex(const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++) {
		if (!isxdigit((unsigned char)text[i]))
			return false;
	}
	return length % 2 == 0;
}

/* Bytes made, or -1: neither hex nor base64. */
static ssize_t decode(const char *text, size_t length, __u8 bytes[KEYFILE_BYTES_MAX])
{
	size_t made = KEYFILE_BYTES_MAX;
	struct base16_decode_ctx hex;
	struct base64_decode_ctx b64;
	bool good;

	if (is_hex(text, length)) {
		base16_decode_init(&hex);
		good = base16_decode_update(&hex, &made, bytes, length, text) &&
		       base16_decode_final(&hex);
	} else {
		base64_decode_init(&b64);
		good = base64_decode_update(&b64, &made, bytes, length, text) &&
		       base64_decode_final(&b64);
	}
	explicit_bzero(&hex, sizeof(hex));
	explicit_bzero(&b64, sizeof(b64));
	return good ? (ssize_t)made : -1;
}

static bool looks_random(const __u8 *bytes, size_t length)
{
	bool seen[256] = {};
	size_t i, distinct = 0;

	for (i = 0; i < length; i++) {
		distinct += !seen[bytes[i]];
		seen[bytes[i]] = true;
	}
	return distinct >= DISTINCT_MIN;
}

int keyfile_parse(const char *text, size_t length, struct keyfile_secret *ret, struct why *why)
{
	__u8 bytes[KEYFILE_BYTES_MAX];
	ssize_t made = -1;
	int err = 0;

	while (length && isspace((unsigned char)text[length - 1]))
		length--;
	while (length && isspace((unsigned char)*text)) {
		text++;
		length--;
	}
	if (length <= KEYFILE_BYTES_MAX && !memchr(text, '\n', length))
		made = decode(text, length, bytes);
	if (made < 0)
		err = why_is(why, -EINVAL, "not one line of hex or base64");
	else if (made < KEYFILE_SECRET_MIN)
		err = why_is(why, -EINVAL,
			     "%zd bytes, and %d are the least; 'synward key generate "
			     "FILE' makes a good one",
			     made, KEYFILE_SECRET_MIN);
	else if (!looks_random(bytes, made))
		err = why_is(why, -EINVAL,
			     "a pattern, not a secret; 'synward key generate FILE' "
			     "makes a good one");
	else
		extract(bytes, made, ret);
	explicit_bzero(bytes, sizeof(bytes));
	return err;
}

/* Of the file that was opened, whatever becomes of its name. */
static int check_owner(int fd, struct why *why)
{
	struct stat st;

	if (fstat(fd, &st))
		return why_is(why, -errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return why_is(why, -EINVAL, "no regular file");
	if (st.st_uid)
		return why_is(why, -EPERM,
			      "belongs to user %u, and whoever owns it could replace "
			      "it; chown root",
			      st.st_uid);
	if (st.st_mode & 077)
		return why_is(why, -EPERM,
			      "others than its owner have access (mode %04o); "
			      "chmod 0600",
			      st.st_mode & 07777);
	if (st.st_size > KEYFILE_BYTES_MAX)
		return why_is(why, -EFBIG, "larger than %d bytes", KEYFILE_BYTES_MAX);
	return 0;
}

static int read_text(int fd, struct keyfile_secret *ret, struct why *why)
{
	char text[KEYFILE_BYTES_MAX];
	size_t length = 0;
	ssize_t got = 1;
	int err = 0;

	while (got > 0 && length < sizeof(text)) {
		got = read(fd, text + length, sizeof(text) - length);
		if (got > 0)
			length += got;
	}
	if (got < 0)
		err = why_is(why, -errno, "%s", strerror(errno));
	else
		err = keyfile_parse(text, length, ret, why);
	explicit_bzero(text, sizeof(text));
	return err;
}

/* Symbolic links are followed: a Kubernetes Secret is one. What counts is whose file it is. */
int keyfile_read(const char *path, struct keyfile_secret *ret, struct why *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;
	struct why reason = {};

	if (fd < 0)
		return why_is(why, -errno, "key file %s: %s", path, strerror(errno));
	err = check_owner(fd, &reason);
	if (!err)
		err = read_text(fd, ret, &reason);
	close(fd);
	return err ? why_is(why, err, "key file %.200s: %.250s", path, reason.text) : 0;
}

static int write_random(int fd)
{
	char text[2 * KEYFILE_SECRET_MIN + 1];
	__u8 bytes[KEYFILE_SECRET_MIN];
	int err = 0;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	base16_encode_update(text, sizeof(bytes), bytes);
	text[sizeof(text) - 1] = '\n';
	if (write(fd, text, sizeof(text)) != sizeof(text) || fsync(fd))
		err = errno ? -errno : -EIO;
	explicit_bzero(text, sizeof(text));
	explicit_bzero(bytes, sizeof(bytes));
	return err;
}

int keyfile_generate(const char *path, struct why *why)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), err;

	if (fd < 0 && errno == EEXIST)
		return why_is(why, -EEXIST, "%s exists, and stays as it is", path);
	if (fd < 0)
		return why_is(why, -errno, "%s: %s", path, strerror(errno));
	err = write_random(fd);
	close(fd);
	if (!err)
		return 0;
	unlink(path);
	return why_is(why, err, "%s: %s", path, strerror(-err));
}
