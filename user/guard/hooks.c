// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "hooks.h"
#include "tc.h"

void hooks_look(void *ignored, const struct guard *g, struct hooks_state *ret)
{
	struct hooks_state state = {.on = -1};
	struct xdp_state xdp = {};
	enum sw_tc_kind kind;
	struct sw_info info;
	struct why why;

	*ret = state;
	if (guard_info(g, &info) || info.abi != SW_ABI || xdp_look(g, &xdp, &why))
		return;
	state.on = xdp.ours_count && (info.tc_kind == SW_TC_NONE || tc_look(g, &kind));
	if (info.path != SW_PATH_COMPAT) /* whose cookies have the kernel's keys */
		state.has_keys = !keys_look_running(&xdp, &state.keys);
	*ret = state;
}
