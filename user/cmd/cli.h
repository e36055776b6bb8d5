/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What main.c and the commands share: the table of commands, the options all of them know. */
#ifndef SYNWARD_CLI_H
#define SYNWARD_CLI_H

#include <argp.h>
#include <signal.h>

#include "say.h"

#define EXIT_USAGE 2

struct command {
	const char *name;
	int (*run)(int argc, char **argv,
		   struct cli *cli); /* 0, or a negative errno already said */
	const char *arguments;
	const char *text;
};

enum cli_interface {
	CLI_NO_INTERFACE,    /* arguments are the command's own */
	CLI_MAYBE_INTERFACE, /* one, or none */
	CLI_INTERFACE,       /* one */
};

/* What every command knows, and main as well: a child parser of -j and -v, and its input. */
struct cli_common {
	struct cli *cli;
	enum cli_interface interface;
};
extern const struct argp cli_argp;

/*
 * Parses a command's arguments: its own options and what is common, an interface into
 * cli->ifname. input is for the command's parser. Does not return if something is wrong.
 */
void cli_parse(const struct argp *own, enum cli_interface interface, int argc, char **argv,
	       struct cli *cli, void *input);

/* A whole number of least to most, or argp_error() with "no WHAT of LEAST to MOST". */
unsigned long cli_number(struct argp_state *state, const char *what, const char *text,
			 unsigned long least, unsigned long most);

/*
 * SIGINT, SIGTERM and SIGHUP from now on set cli_interrupted, and waiting calls return with EINTR.
 * SIGPIPE is not among them: whoever reads us may go, and then so do we.
 */
extern volatile sig_atomic_t cli_interrupted;
void cli_end_on_signals(void);

int cmd_attach(int argc, char **argv, struct cli *cli);
int cmd_detach(int argc, char **argv, struct cli *cli);
int cmd_run(int argc, char **argv, struct cli *cli);
int cmd_reload(int argc, char **argv, struct cli *cli);
int cmd_config(int argc, char **argv, struct cli *cli);
int cmd_doctor(int argc, char **argv, struct cli *cli);
int cmd_key(int argc, char **argv, struct cli *cli);
int cmd_status(int argc, char **argv, struct cli *cli);
int cmd_flows(int argc, char **argv, struct cli *cli);
int cmd_events(int argc, char **argv, struct cli *cli);
int cmd_stats(int argc, char **argv, struct cli *cli);
int cmd_trace(int argc, char **argv, struct cli *cli);
int cmd_top(int argc, char **argv, struct cli *cli);
int cmd_metrics(int argc, char **argv, struct cli *cli);

#endif
