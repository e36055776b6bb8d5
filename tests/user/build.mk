# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Logic of user/ that needs no kernel, with ASan and UBSan; the clock is an argument.

USER_TESTS     := $(wildcard tests/user/*.c)
USER_TESTS_SRC := $(USER_TESTS) user/keys/keyring.c user/keys/keyfile.c \
		  user/config/config_service.c user/config/ports.c user/config/services_policy.c \
		  user/daemon/handovers.c tests/unit/lsan.c
USER_TESTS_OBJ := $(USER_TESTS_SRC:%.c=$(B)/user.obj/%.o)

$(B)/user.obj/%.o: %.c user/keys/keyring.h user/keys/keyfile.h user/config/*.h user/daemon/handovers.h user/config/config_keys.def $(HEADERS)
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -D_GNU_SOURCE -Iuser $(addprefix -Iuser/,keys config guard machine cmd daemon) $(UNIT_CFLAGS) -c $< -o $@

$(B)/tests/user: $(USER_TESTS_OBJ)
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(UNIT_CFLAGS) $^ -o $@ $(LDFLAGS) -lcriterion -lnettle

CHECKS += $(B)/tests/user
