# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The command: build/synward.

USER_DIRS := user $(filter-out user/gen,$(patsubst %/,%,$(wildcard user/*/)))
USER_SRC  := $(wildcard $(USER_DIRS:%=%/*.c))
SKELETONS := $(patsubst %.bpf.c,$(B)/%.skel.h,$(wildcard bpf/*.bpf.c))
USER_OBJ := $(USER_SRC:%.c=$(B)/%.o)

USER_CFLAGS := $(shell pkg-config --cflags $(PKGS)) -D_GNU_SOURCE $(USER_DIRS:%=-iquote %) -I$(B)
USER_LIBS   := $(shell pkg-config --libs $(PKGS))

$(B)/user/%.o: user/%.c $(HEADERS) | $(SKELETONS)
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(USER_CFLAGS) -MMD -c $< -o $@

$(B)/synward: $(USER_OBJ)
	$(say) LINK $@
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(USER_LIBS) -o $@

# Pages of docs/ as the lists say they are; tests/generated_docs compares.
$(B)/gen/counters_doc: user/gen/counters_doc.c user/observe/names.c user/observe/names.h $(HEADERS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(USER_DIRS:%=-iquote %) user/gen/counters_doc.c user/observe/names.c -o $@

$(B)/counters.md: $(B)/gen/counters_doc
	$(say) GEN $@
	$(Q)$< > $@

$(B)/gen/metrics_doc: user/gen/metrics_doc.c user/observe/metrics_list.c user/observe/metrics.h user/observe/metrics.def $(HEADERS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(USER_DIRS:%=-iquote %) user/gen/metrics_doc.c user/observe/metrics_list.c -o $@

$(B)/metrics.md: $(B)/gen/metrics_doc
	$(say) GEN $@
	$(Q)$< > $@

CONFIG_DOC_SRC := user/gen/config_doc.c user/config/config_value.c user/config/ports.c user/config/prefix.c user/guard/targets.c

$(B)/gen/config_doc: $(CONFIG_DOC_SRC) user/config/config.h user/config/config_value.h user/config/config_keys.def $(HEADERS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(USER_CFLAGS) $(CONFIG_DOC_SRC) $(USER_LIBS) -o $@

$(B)/configuration.md: $(B)/gen/config_doc
	$(say) GEN $@
	$(Q)$< > $@

CHECK_TOOLS += $(B)/counters.md $(B)/configuration.md $(B)/metrics.md

-include $(USER_OBJ:.o=.d)

install: $(B)/synward
	install -Dm755 $(B)/synward $(DESTDIR)$(PREFIX)/sbin/synward
