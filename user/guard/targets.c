// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "targets.h"

#define FLOWS_MIN 1024
#define FLOWS_MAX (1U << 26)

static bool same_prefix(const struct prefix *a, const struct prefix *b)
{
	return a->length == b->length && !memcmp(a->addr, b->addr, sizeof(a->addr));
}

static bool has(const struct targets *targets, const struct prefix *prefix)
{
	int i;

	for (i = 0; i < targets->count; i++) {
		if (same_prefix(&targets->list[i], prefix))
			return true;
	}
	return false;
}

int targets_add(struct targets *targets, const char *list)
{
	char *copy = strdup(list), *rest = copy, *word;
	int count = targets->count, err = copy ? 0 : -ENOMEM;
	struct prefix prefix;

	while (!err && (word = strsep(&rest, ","))) {
		err = prefix_parse(word, &prefix);
		if (err || has(targets, &prefix))
			continue;
		if (targets->count == SW_TARGETS_MAX)
			err = -E2BIG;
		else
			targets->list[targets->count++] = prefix;
	}
	if (err)
		targets->count = count;
	free(copy);
	return err;
}

int targets_flows(struct targets *targets, const char *text)
{
	unsigned long count;
	char *end;

	errno = 0;
	count = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || errno || count > FLOWS_MAX)
		return -EINVAL;
	if (!strcmp(end, "k"))
		count <<= 10;
	else if (!strcmp(end, "M"))
		count <<= 20;
	else if (*end)
		return -EINVAL;
	if (count < FLOWS_MIN || count > FLOWS_MAX)
		return -ERANGE;
	targets->flows = count;
	return 0;
}

static struct sw_route_key key_of(const struct prefix *prefix)
{
	struct sw_route_key key = {.prefix_length = prefix->length};

	memcpy(key.addr, prefix->addr, sizeof(key.addr));
	return key;
}

/* From the start again after each removal: a trie gives no way on from a key that is gone. */
static int remove_others(int fd, const struct targets *targets)
{
	struct sw_route_key at, next, *from = NULL;
	struct prefix prefix;

	while (!bpf_map_get_next_key(fd, from, &next)) {
		prefix.length = next.prefix_length;
		memcpy(prefix.addr, next.addr, sizeof(prefix.addr));
		at = next;
		from = &at;
		if (has(targets, &prefix))
			continue;
		if (bpf_map_delete_elem(fd, &next))
			return -errno;
		from = NULL;
	}
	return errno == ENOENT ? 0 : -errno;
}

int targets_fill(int targets_fd, int proxy_fd, const struct proxy_settings *settings)
{
	const struct targets *targets = settings->targets;
	struct sw_proxy proxy = {
		.targets = targets->count != 0,
		.ports_auto = settings->ports_auto,
		.generic = settings->generic,
		.forward = settings->forward,
		.guarded = settings->guarded,
		.hands_over = settings->hands_over,
		.after_gro = settings->after_gro,
		.flow_sets_mask = settings->flow_sets - 1,
	};
	struct sw_proxy before = {};
	struct sw_route_key key;
	__u32 zero = 0;
	__u8 one = 1;
	int i;

	if (targets_fd < 0 || proxy_fd < 0)
		return -ENOENT;
	if (bpf_map_lookup_elem(proxy_fd, &zero, &before))
		return -errno;
	proxy.changed = before.guarded != 0;
	if (!settings->guarded) {
		proxy.guarded = before.guarded;
		proxy.forward = before.forward;
		proxy.hands_over = before.hands_over;
		proxy.after_gro = before.after_gro;
		proxy.flow_sets_mask = before.flow_sets_mask;
	}
	for (i = 0; i < targets->count; i++) {
		key = key_of(&targets->list[i]);
		if (bpf_map_update_elem(targets_fd, &key, &one, BPF_ANY))
			return -errno;
	}
	if (bpf_map_update_elem(proxy_fd, &zero, &proxy, BPF_ANY))
		return -errno;
	return remove_others(targets_fd, targets);
}
