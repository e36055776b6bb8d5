// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "cli.h"

int cmd_status(int argc, char **argv, struct cli *cli)
{
	return 0;
}
