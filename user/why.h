/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What went wrong, in the words the command will print: functions below the command
 * never print, they fill a struct why and return its negative errno.
 */
#ifndef SYNWARD_WHY_H
#define SYNWARD_WHY_H

#include <stdarg.h>
#include <stdio.h>

struct why {
	char text[512]; /* "what is wrong; what to do" */
};

__attribute__((format(printf, 3, 4))) static inline int why_is(struct why *ret, int err,
							       const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(ret->text, sizeof(ret->text), format, args);
	va_end(args);
	return err;
}

#endif
