// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>

#include "cli.h"

static const struct argp_option options[] = {
	{"json", 'j', NULL, 0, "Print JSON, errors too", 10},
	{"verbose", 'v', NULL, 0, "Say more; on a refused program, the verifier's log", 10},
	{}};

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	struct cli_common *common = state->input;
	struct cli *cli = common->cli;

	switch (key) {
	case 'j':
		cli->json = true;
		return 0;
	case 'v':
		cli->verbose = true;
		return 0;
	case ARGP_KEY_ARG:
		if (common->interface == CLI_NO_INTERFACE)
			return ARGP_ERR_UNKNOWN;
		if (cli->ifname)
			argp_error(state, "one interface at a time");
		cli->ifname = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		if (common->interface == CLI_INTERFACE)
			argp_error(state, "which interface?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp cli_argp = {.options = options, .parser = parse_common};

/* The inputs of the command's own parser and of the common one. */
struct inputs {
	void *own;
	struct cli_common common;
};

static error_t hand_on(int key, char *arg, struct argp_state *state)
{
	struct inputs *inputs = state->input;

	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = inputs->own;
	state->child_inputs[1] = &inputs->common;
	return 0;
}

void cli_parse(const struct argp *own, enum cli_interface interface, int argc, char **argv,
	       struct cli *cli, void *input)
{
	const struct argp_child children[] = {{own, 0, NULL, 0}, {&cli_argp, 0, NULL, 0}, {}};
	const struct argp both = {.parser = hand_on, .children = children};
	struct inputs inputs = {input, {cli, interface}};

	argp_parse(&both, argc, argv, 0, NULL, &inputs);
}

unsigned long cli_number(struct argp_state *state, const char *what, const char *text,
			 unsigned long least, unsigned long most)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value < least || value > most)
		argp_error(state, "no %s of %lu to %lu: '%s'", what, least, most, text);
	return value;
}

volatile sig_atomic_t cli_interrupted;

static void on_signal(int signal)
{
	cli_interrupted = 1;
}

void cli_end_on_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART */

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}
