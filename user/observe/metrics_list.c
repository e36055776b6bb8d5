// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "metrics.h"

const struct metric metrics_list[] = {
#define METRIC(id, name, type, labels, text) {name, type, labels, text},
#include "metrics.def"
#undef METRIC
	{}};
