// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "path.h"

#define HOST   (1U << SW_PATH_HOST)
#define COMPAT (1U << SW_PATH_COMPAT)
#define PROXY  (1U << SW_PATH_PROXY)

struct feature {
	const char *name;
	const char *since; /* of Linux: for the message alone */
	unsigned int needed_by;
	bool (*is_there)(const struct feature *feature);
	enum bpf_func_id helper;
};

static bool is_kfunc(const struct feature *feature)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool there = btf && btf__find_by_name_kind(btf, feature->name, BTF_KIND_FUNC) >= 0;

	btf__free(btf);
	return there;
}

/* What cannot be asked counts as there: loading will tell. */
static bool is_helper(const struct feature *feature)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, feature->helper, NULL) != 0;
}

static const struct feature features[] = {
	{"bpf_sk_assign_tcp_reqsk", "6.9", HOST, is_kfunc, 0},
	{"bpf_xdp_load_bytes", "5.18", HOST | PROXY, is_helper, BPF_FUNC_xdp_load_bytes},
	{"bpf_loop", "5.17", HOST | PROXY, is_helper, BPF_FUNC_loop},
	{"bpf_timer_start", "5.15", HOST | COMPAT | PROXY, is_helper, BPF_FUNC_timer_start},
	{}};

const char *path_name(enum sw_path path)
{
	static const char *const names[] = {[SW_PATH_HOST] = "host", [SW_PATH_COMPAT] = "compat",
					     [SW_PATH_PROXY] = "proxy"};

	return path && path < SW_PATHS ? names[path] : "unknown";
}

int path_possible(enum sw_path path, struct why *why)
{
	const struct feature *f;

	for (f = features; f->name; f++) {
		if (f->needed_by & 1U << path && !f->is_there(f))
			return why_is(why, -EOPNOTSUPP, "the kernel lacks %s (Linux %s)", f->name,
				      f->since);
	}
	return 0;
}

int path_choose(int asked, enum sw_path *ret, struct why *ret_lacks, struct why *why)
{
	struct why lacks = {};
	int err = -EOPNOTSUPP;
	enum sw_path path;

	ret_lacks->text[0] = '\0';
	if (asked != PATH_AUTO) {
		err = path_possible(asked, why);
		if (!err)
			*ret = asked;
		return err;
	}
	for (path = SW_PATH_HOST; err && path <= SW_PATH_COMPAT; path++) {
		err = path_possible(path, &lacks);
		if (!err)
			*ret = path;
		else if (!ret_lacks->text[0])
			*ret_lacks = lacks;
	}
	if (err)
		why_is(why, err, "%s, and CONFIG_SYN_COOKIES must be on", lacks.text);
	return err;
}
