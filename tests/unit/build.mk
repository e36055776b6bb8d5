# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The pure logic of headers/, with ASan and UBSan; the mutants that prove the tests; the odds.

UNIT_TESTS  := $(filter-out tests/unit/odds.c,$(wildcard tests/unit/*.c))
UNIT_OBJ    := $(UNIT_TESTS:%.c=$(B)/unit.obj/%.o)
UNIT_CFLAGS := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all

$(B)/unit.obj/%.o: %.c tests/unit/unit.h $(HEADERS)
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(UNIT_CFLAGS) -c $< -o $@

$(B)/tests/unit: $(UNIT_OBJ)
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(UNIT_CFLAGS) $^ -o $@ $(LDFLAGS) -lcriterion

$(B)/tests/odds: tests/unit/odds.c $(HEADERS)
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -pthread $< -o $@ $(LDFLAGS) -lm

CHECKS += $(B)/tests/unit $(B)/tests/odds tests/unit/mutants
