// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "say.h"

static bool chatter; /* libbpf's callbacks carry no argument of ours */
static char kernel_message[256];

static void print_json(struct json_object *obj)
{
	puts(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_NOSLASHESCAPE));
	fflush(stdout);
	json_object_put(obj);
}

static void add_warnings(struct cli *cli, struct json_object *obj)
{
	if (!cli->warnings)
		return;
	json_object_object_add(obj, "warnings", cli->warnings);
	cli->warnings = NULL;
}

void say_error(struct cli *cli, const char *ifname, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (cli->json) {
		struct json_object *obj = json_object_new_object();

		if (ifname)
			json_object_object_add(obj, "interface", json_object_new_string(ifname));
		json_object_object_add(obj, "error", json_object_new_string(text));
		add_warnings(cli, obj);
		print_json(obj);
		return;
	}
	fflush(stdout);
	fprintf(stderr, "synward: %s%s%s\n", ifname ? ifname : "", ifname ? ": " : "", text);
}

void say_warning(struct cli *cli, const char *ifname, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (cli->json) {
		if (!cli->warnings)
			cli->warnings = json_object_new_array();
		json_object_array_add(cli->warnings, json_object_new_string(text));
		return;
	}
	fflush(stdout);
	fprintf(stderr, "synward: %s%swarning: %s\n", ifname ? ifname : "", ifname ? ": " : "",
		text);
}

void say_done(struct cli *cli, struct json_object *facts, const char *format, ...)
{
	va_list args;

	if (cli->json) {
		add_warnings(cli, facts);
		print_json(facts);
		return;
	}
	json_object_put(facts);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static void remember_kernel_message(const char *text)
{
	static const char head[] = "Kernel error message: ";
	const char *at = strstr(text, head);

	if (!at)
		return;
	snprintf(kernel_message, sizeof(kernel_message), "%s", at + sizeof(head) - 1);
	kernel_message[strcspn(kernel_message, "\n")] = '\0';
}

static int hear_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	char text[512];
	va_list again;

	va_copy(again, args);
	vsnprintf(text, sizeof(text), format, again);
	va_end(again);
	remember_kernel_message(text);
	/* Not through text: a verifier log is one message of many kilobytes. */
	return chatter && level != LIBBPF_DEBUG ? vfprintf(stderr, format, args) : 0;
}

static int hear_libxdp(enum libxdp_print_level level, const char *format, va_list args)
{
	return chatter && level != LIBXDP_DEBUG ? vfprintf(stderr, format, args) : 0;
}

void say_capture_libraries(const struct cli *cli)
{
	chatter = cli->verbose;
	libbpf_set_print(hear_libbpf);
	libxdp_set_print(hear_libxdp);
}

const char *say_kernel_message(void)
{
	return kernel_message;
}

void say_forget_kernel(void)
{
	kernel_message[0] = '\0';
}
