// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "abi.h"
#include "lists.h"
#include "prefix.h"

/* One line of a file. */
struct line {
	struct sw_list_key key;
	__u32 listed; /* enum sw_listed */
	int number;
};

struct lines {
	struct line *item;
	size_t count, room;
};

static int add_line(struct lines *lines, const struct line *line)
{
	if (lines->count == lines->room) {
		size_t room = lines->room ? lines->room * 2 : 1024;
		struct line *item = reallocarray(lines->item, room, sizeof(*item));

		if (!item)
			return -ENOMEM;
		lines->item = item;
		lines->room = room;
	}
	lines->item[lines->count++] = *line;
	return 0;
}

/* The word of a line, without space around it and without comment. */
static char *word_of(char *text)
{
	char *end;

	text[strcspn(text, "#\n")] = '\0';
	text += strspn(text, " \t\r");
	end = text + strlen(text);
	while (end > text && strchr(" \t\r", end[-1]))
		*--end = '\0';
	return text;
}

static int read_line(struct lines *lines, char *text, const char *path, int number,
		     enum sw_listed listed, struct why *why)
{
	struct line line = {.listed = listed, .number = number};
	char *word = word_of(text);
	struct prefix prefix;
	int err;

	if (!*word)
		return 0;
	err = prefix_parse(word, &prefix);
	if (err == -ERANGE)
		return why_is(why, -EINVAL, "%s:%d: '%.60s' has bits set behind its length", path,
			      number, word);
	if (err)
		return why_is(why, -EINVAL,
			      "%s:%d: '%.60s' is no prefix; 192.0.2.0/24 or 2001:db8::/32 would be",
			      path, number, word);
	if (lines->count == LISTS_PREFIXES_MAX)
		return why_is(why, -E2BIG, "%s:%d: more than %d prefixes", path, number,
			      LISTS_PREFIXES_MAX);
	line.key.prefix_length = prefix.length;
	memcpy(line.key.addr, prefix.addr, sizeof(line.key.addr));
	err = add_line(lines, &line);
	return err ? why_is(why, err, "%s:%d: out of memory", path, number) : 0;
}

static int read_file(struct lines *lines, const char *path, enum sw_listed listed, struct why *why)
{
	FILE *f = fopen(path, "re");
	int number = 0, err = 0;
	char *text = NULL;
	size_t size = 0;

	if (!f)
		return why_is(why, -errno, "%s: %s", path, strerror(errno));
	while (!err && getline(&text, &size, f) >= 0)
		err = read_line(lines, text, path, ++number, listed, why);
	if (!err && ferror(f))
		err = why_is(why, -EIO, "%s: cannot be read", path);
	free(text);
	fclose(f);
	return err;
}

static int compare(const void *one, const void *other)
{
	const struct line *a = one, *b = other;

	return memcmp(&a->key, &b->key, sizeof(a->key));
}

/* Each prefix once. */
static int settle(struct lines *lines, const char *deny_path, struct why *why)
{
	size_t from, to = 0;

	qsort(lines->item, lines->count, sizeof(*lines->item), compare);
	for (from = 0; from < lines->count; from++) {
		const struct line *line = &lines->item[from];
		const struct line *last = to ? &lines->item[to - 1] : NULL;
		bool denies = line->listed == SW_LISTED_DENY;

		if (!last || compare(line, last))
			lines->item[to++] = *line;
		else if (line->listed != last->listed)
			return why_is(why, -EINVAL,
				      "%s:%d: is in the allow list too, in line %d there",
				      deny_path, denies ? line->number : last->number,
				      denies ? last->number : line->number);
	}
	lines->count = to;
	return 0;
}

static int fill(int fd, const struct lines *lines)
{
	__u32 count = (__u32)lines->count, *value = calloc(lines->count + 1, sizeof(*value)), i;
	struct sw_list_key *key = calloc(lines->count + 1, sizeof(*key));
	int err = key && value ? 0 : -ENOMEM;

	for (i = 0; !err && i < lines->count; i++) {
		key[i] = lines->item[i].key;
		value[i] = lines->item[i].listed;
	}
	if (!err && count && bpf_map_update_batch(fd, key, value, &count, NULL))
		err = -errno;
	free(key);
	free(value);
	return err;
}

static int make_trie(const struct lines *lines, int *ret_fd, struct why *why)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	int fd, err;

	fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "list", sizeof(struct sw_list_key),
			    sizeof(__u32), lines->count ?: 1, &opts);
	err = fd < 0 ? -errno : fill(fd, lines);
	if (!err) {
		*ret_fd = fd;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	return why_is(why, err, "cannot make a list of %zu prefixes: %s", lines->count,
		      strerror(-err));
}

int lists_load(const char *allow_path, const char *deny_path, int *ret_fd, struct why *why)
{
	bool allow = allow_path && *allow_path, deny = deny_path && *deny_path;
	struct lines lines = {};
	int err = 0;

	if (!allow && !deny) {
		*ret_fd = -1;
		return 0;
	}
	if (allow)
		err = read_file(&lines, allow_path, SW_LISTED_ALLOW, why);
	if (!err && deny)
		err = read_file(&lines, deny_path, SW_LISTED_DENY, why);
	if (!err)
		err = settle(&lines, deny_path, why);
	if (!err)
		err = make_trie(&lines, ret_fd, why);
	free(lines.item);
	return err;
}
