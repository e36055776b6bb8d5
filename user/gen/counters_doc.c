// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Writes docs/counters.md from the lists both sides share. Built and run by make. */
#include <stdio.h>

#include "names.h"

static void write_verdicts(void)
{
	int i;

	puts("| verdict | XDP action | meaning |\n|---|---|---|");
	for (i = 0; i < SW_REASON_COUNT; i++)
		printf("| `%s` | %s | %s |\n", names_verdict[i].name,
		       names_action(names_verdict[i].action), names_verdict[i].text);
}

static void write_events(void)
{
	int i;

	puts("| event | meaning |\n|---|---|");
	for (i = 0; i < SW_EVENT_COUNT; i++)
		printf("| `%s` | %s |\n", names_event[i].name, names_event[i].text);
}

static void write_columns(void)
{
	int i;

	puts("| column | meaning |\n|---|---|");
	for (i = 0; i < NAMES_COLUMNS; i++)
		printf("| `%s` | %s |\n", names_column[i].name, names_column[i].text);
}

int main(void)
{
	names_init();
	puts("<!-- Made by user/gen/counters_doc.c from headers/*.def: do not edit. -->\n"
	     "# Counters\n\n"
	     "## Verdicts\n\n"
	     "Each frame that reaches the XDP program gets exactly one: their sum is the number of "
	     "frames.\n`synward stats -j` has them under these names, as rates and as totals.\n");
	write_verdicts();
	puts("\n## Events\n\nWhat happens beside the verdicts; they do not add up to frames.\n");
	write_events();
	puts("\n## Columns of `synward stats`\n\nRates per second.\n");
	write_columns();
	return 0;
}
