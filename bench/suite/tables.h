/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the meter writes into synward's pinned maps. All return 0 or a negative errno. */
#ifndef SUITE_TABLES_H
#define SUITE_TABLES_H

#include <stdint.h>

#include "../headers/tuple.h"

/* Sets every bit of an array of 64-bit words. */
int table_fill(const char *path);

/* Established flows of so many clients, whose addresses follow each other from first's. IPv4. */
int table_flows(const char *path, uint32_t clients, const struct sw_tuple *first);

#endif
