// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const struct command commands[] = {
	{"attach", cmd_attach, "IFACE", "guard an interface, or renew the guard on it"},
	{"detach", cmd_detach, "IFACE|--all", "take the guard off"},
	{"run", cmd_run, "", "guard what a configuration file names, and see to it"},
	{"reload", cmd_reload, "", "have 'synward run' read its file again"},
	{"config", cmd_config, "check|keys", "check a configuration file, or list its keys"},
	{"doctor", cmd_doctor, "[IFACE]", "what would make it fail or disappoint, and what to do"},
	{"key", cmd_key, "VERB", "cookie keys: their age, a new one, a shared secret"},
	{"status", cmd_status, "[IFACE]", "what is guarded, and how"},
	{"flows", cmd_flows, "[IFACE]", "connections the proxy path translates"},
	{"stats", cmd_stats, "IFACE", "rates per second"},
	{"metrics", cmd_metrics, "", "what Prometheus reads, by HTTP or once"},
	{"top", cmd_top, "[IFACE]", "a live screen"},
	{"trace", cmd_trace, "IFACE", "handshakes, segment by segment, and why"},
	{"events", cmd_events, "IFACE", "attacks that begin and end, as they do"},
	{}};

const char *argp_program_version = "synward " SW_VERSION;

struct top {
	struct cli_common common;
	const struct command *command;
	int argc;
	char **argv; /* of the command, its name first */
};

static const struct command *find_command(const char *name)
{
	const struct command *c;

	for (c = commands; c->name; c++) {
		if (!strcmp(c->name, name))
			return c;
	}
	return NULL;
}

static error_t parse_top(int key, char *arg, struct argp_state *state)
{
	struct top *top = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &top->common;
		return 0;
	case ARGP_KEY_ARG:
		top->command = find_command(arg);
		if (!top->command)
			argp_error(state, "no command '%s'", arg);
		top->argc = state->argc - state->next + 1;
		top->argv = state->argv + state->next - 1;
		state->next = state->argc; /* the rest is the command's */
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_state_help(state, stderr, ARGP_HELP_STD_USAGE);
		exit(EXIT_USAGE);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The commands as part of --help, from the table. */
static char *describe_commands(int key, const char *text, void *input)
{
	const struct command *c;
	char *help = NULL;
	size_t size;
	FILE *f;

	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	f = open_memstream(&help, &size);
	if (!f)
		return NULL;
	fputs("Commands:\n", f);
	for (c = commands; c->name; c++)
		fprintf(f, "  %-8s%-13s%s\n", c->name, c->arguments, c->text);
	fputs("\nsynward COMMAND --help tells a command's options.", f);
	fclose(f);
	return help;
}

static int run_command(const struct top *top)
{
	char name[32];

	/* argp names the program by argv[0]: "synward attach" in its messages. */
	snprintf(name, sizeof(name), "synward %s", top->command->name);
	top->argv[0] = name;
	return top->command->run(top->argc, top->argv, top->common.cli);
}

int main(int argc, char **argv)
{
	static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {}};
	static const struct argp argp = {
		.parser = parse_top,
		.args_doc = "COMMAND [ARGUMENT...]",
		.doc = "Guards the TCP listeners of this machine from SYN floods.\v",
		.children = children,
		.help_filter = describe_commands,
	};
	struct cli cli = {};
	struct top top = {.common.cli = &cli};

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &top);
	return run_command(&top) ? EXIT_FAILURE : EXIT_SUCCESS;
}
