// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Criterion 2.4.1 leaks six bytes of its own while it reads its options. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:criterion_handle_args\n";
}
