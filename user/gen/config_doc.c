// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Writes docs/configuration.md from config_keys.def. Built and run by make. */
#include <stdio.h>

#include "config_value.h"

static const char head[] =
	"<!-- Made by user/gen/config_doc.c from user/config/config_keys.def: do not edit. -->\n"
	"# Configuration\n\n"
	"One file, by default `" CONFIG_DEFAULT_PATH
	"`, read by `synward run` ([daemon.md](daemon.md))\n"
	"and by `synward attach IFACE -c FILE`. `synward config check FILE` says what is wrong "
	"with it, "
	"`synward\nconfig keys` prints what stands below. Every key has a default; this is a whole "
	"file:\n\n"
	"```ini\n"
	"[interface eth0]\n"
	"```\n\n"
	"and this a longer one:\n\n"
	"```ini\n"
	"[synward]\n"
	"key-rotation = 6h\n\n"
	"[interface eth0]\n"
	"[interface eth1]\n"
	"services = web            ; the others are left alone there\n\n"
	"[service web]\n"
	"ports = 80,443\n"
	"mode = auto\n"
	"syn-start = 5000\n"
	"syn-end = 2000\n\n"
	"[service rest]            ; whatever else listens\n"
	"mode = monitor\n"
	"```\n\n"
	"## Form\n\n"
	"* Lines are `[section]`, `key = value`, empty, or comments after `#` or `;`; behind a "
	"value "
	"only ` ;`\n  begins one. A line has at most 198 characters and begins at its left "
	"margin.\n"
	"* A key is given once a section. A word is one of those listed; a duration is a number "
	"with "
	"`ms`, `s`,\n  `min`, `h` or `d`.\n"
	"* The file is taken whole or not at all: one wrong line, and what runs goes on as it "
	"was.\n"
	"* Read by root it must belong to root and be writable by nobody else, and so must the "
	"files "
	"it names.\n"
	"* At most 64 interfaces, and 64 services for each: every address and every port range of "
	"a "
	"service\n  counts as one, with thresholds and counters of its own (`web`, `web#2`, "
	"...).\n";

static void cell(const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			putchar('\\');
		putchar(*text);
	}
}

static void write_section(const struct config_section *section)
{
	const struct config_key *key;

	printf("\n## [%s%s%s]\n\n%s.\n\n", section->name, section->argument ? " " : "",
	       section->argument ?: "", section->text);
	puts("| key | default | allowed | meaning |\n|---|---|---|---|");
	for (key = section->keys; key->name; key++) {
		printf("| `%s` | %s%s%s | ", key->name, *key->fallback ? "`" : "", key->fallback,
		       *key->fallback ? "`" : "");
		cell(key->allowed);
		fputs(" | ", stdout);
		cell(key->text);
		puts(" |");
	}
}

int main(void)
{
	const struct config_section *section;

	fputs(head, stdout);
	for (section = config_sections; section->name; section++)
		write_section(section);
	return 0;
}
