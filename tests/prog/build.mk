# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# BPF_PROG_TEST_RUN: frames in, verdicts and frames out. Needs root.

PROG_TESTS := $(wildcard tests/prog/*.c)

$(B)/tests/prog: $(PROG_TESTS) $(wildcard tests/prog/*.h) $(HEADERS) $(B)/user/guard/object.o
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(PROG_TESTS) $(B)/user/guard/object.o -o $@ -lcriterion -lbpf

CHECKS += $(B)/tests/prog
