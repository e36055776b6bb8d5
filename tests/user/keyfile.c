// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyfile.h"

/* 00 01 ... 1f in hex and in base64. */
#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define BASE64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static int parse(const char *text, struct keyfile_secret *ret)
{
	struct why why;

	return keyfile_parse(text, strlen(text), ret, &why);
}

static void hex_of(const void *bytes, size_t length, char *ret)
{
	size_t i;

	for (i = 0; i < length; i++)
		sprintf(ret + 2 * i, "%02x", ((const __u8 *)bytes)[i]);
}

/* By Python's hmac and hashlib: HKDF written out (RFC 5869 2.2, 2.3). */
Test(keyfile, derives_what_hkdf_written_out_derives)
{
	static const struct {
		__u32 period;
		const char *key;
	} vectors[] = {
		{0U, "0127f3e729ca12b51720286545438f92"},
		{1U, "7bd62edf0241b624b064172d39e9918f"},
		{200000U, "6aa54b7a404947306cda83bc6fc24320"},
		{4294967295U, "d9323a972ecdd8c8e1c26c289641297a"},
	};
	struct keyfile_secret secret;
	struct sw_key key;
	char text[65];
	size_t i;

	cr_assert_eq(parse(HEX "\n", &secret), 0);
	hex_of(secret.prk, sizeof(secret.prk), text);
	cr_assert_str_eq(text, "e57ab27064813cc263804a83b081c5abb19a7f4942c660882bb431b289f4421d");
	for (i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		keyfile_derive(&secret, vectors[i].period, &key);
		hex_of(&key, sizeof(key), text);
		cr_assert_str_eq(text, vectors[i].key, "period %u", vectors[i].period);
	}
}

Test(keyfile, takes_hex_and_base64_for_the_same)
{
	struct keyfile_secret hex, base64;

	cr_assert_eq(parse(HEX, &hex), 0);
	cr_assert_eq(parse("  " BASE64 "\r\n", &base64), 0);
	cr_assert_arr_eq(hex.prk, base64.prk, sizeof(hex.prk));
}

Test(keyfile, refuses_what_is_no_secret)
{
	static const char *const bad[] = {
		"",
		"\n",
		"secret",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e", /* 31 bytes */
		"0000000000000000000000000000000000000000000000000000000000000000",
		HEX "\n" HEX "\n",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh", /* cut off */
		"key = " HEX,
	};
	struct keyfile_secret secret;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_eq(parse(bad[i], &secret), -22, "'%s'", bad[i]);
}

Test(keyfile, refuses_any_length_without_reading_past_it)
{
	struct keyfile_secret secret;
	struct why why;
	size_t length;
	char *text;

	for (length = 0; length < 3 * KEYFILE_BYTES_MAX; length += 1 + length / 7) {
		text = malloc(length + 1); /* ASan sees one byte more */
		memset(text, 'a', length);
		cr_assert_neq(keyfile_parse(text, length, &secret, &why), 0);
		free(text);
	}
}

Test(keyfile, is_refused_unless_root_alone_can_read_it)
{
	char directory[] = "/tmp/synward-keyfile-XXXXXX", path[64];
	struct keyfile_secret secret;
	struct why why;
	struct stat st;

	if (geteuid())
		cr_skip_test("needs root");
	cr_assert(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/key", directory);
	cr_assert_eq(keyfile_generate(path, &why), 0);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
	cr_assert_eq(keyfile_read(path, &secret, &why), 0, "%s", why.text);
	cr_assert_eq(keyfile_generate(path, &why), -17);
	cr_assert_eq(chmod(path, 0640), 0);
	cr_assert_eq(keyfile_read(path, &secret, &why), -1);
	cr_assert_eq(chmod(path, 0400), 0);
	cr_assert_eq(keyfile_read(path, &secret, &why), 0);
	cr_assert_eq(chown(path, 65534, 0), 0);
	cr_assert_eq(keyfile_read(path, &secret, &why), -1);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(keyfile_read(path, &secret, &why), -2);
	cr_assert_eq(rmdir(directory), 0);
	cr_assert_eq(keyfile_read("/dev/zero", &secret, &why), -22);
}
