// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Writes docs/metrics.md from user/observe/metrics.def. Built and run by make. */
#include "metrics.h"

int main(void)
{
	const struct metric *m;

	puts("<!-- Made by user/gen/metrics_doc.c from user/observe/metrics.def: do not edit. -->\n"
	     "# Metrics\n\n"
	     "What `synward metrics` and `synward run` tell Prometheus ([observing.md](observing.md) "
	     "says how).\n"
	     "What cannot be read without privileges is left out.\n\n"
	     "| metric | type | labels | meaning |\n|---|---|---|---|");
	for (m = metrics_list; m->name; m++)
		printf("| `%s` | %s | %s | %s |\n", m->name, m->type, m->labels, m->text);
	return 0;
}
