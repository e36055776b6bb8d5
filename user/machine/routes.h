/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Routes whose metrics change what a SYN-ACK says, read into the map that XDP asks. */
#ifndef SYNWARD_ROUTES_H
#define SYNWARD_ROUTES_H

/*
 * Makes the map hold the main table if a route in it has such metrics, else nothing.
 * Returns 1 or 0 accordingly, or a negative errno: -E2BIG if there are more than
 * SW_ROUTES_MAX, of which the map then holds as many.
 */
int routes_fill(int routes_fd);

#endif
