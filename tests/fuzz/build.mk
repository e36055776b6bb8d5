# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# libFuzzer over the pure logic: make fuzz [FUZZ_SECONDS=20]. A crash leaves its input in build/fuzz/.

FUZZ_SECONDS ?= 20
FUZZERS      := $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz_%,$(wildcard tests/fuzz/*.c))
FUZZ_CFLAGS  := -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

.PHONY: fuzz fuzz-runtime
fuzz: $(FUZZERS)
	@mkdir -p $(B)/fuzz
	@for f in $^; do \
		log=$(B)/fuzz/$${f##*/}.log; \
		if $$f -max_total_time=$(FUZZ_SECONDS) -max_len=256 -timeout=5 -print_final_stats=1 \
			-artifact_prefix=$(B)/fuzz/ >$$log 2>&1; then \
			echo "  FUZZ    $$f: $$(sed -n 's/.*executed_units: *//p' $$log) inputs in $(FUZZ_SECONDS) s"; \
		else \
			tail -n 40 $$log; exit 1; \
		fi; \
	done

$(B)/tests/fuzz_%: tests/fuzz/%.c tests/fuzz/fuzz.h $(HEADERS) | fuzz-runtime
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(ALL_CFLAGS) $(FUZZ_CFLAGS) $< -o $@

fuzz-runtime:
	@test -e "$$($(CLANG) -print-file-name=libclang_rt.fuzzer-$(ARCH).a)" || \
		test -e "$$($(CLANG) -print-runtime-dir)/libclang_rt.fuzzer.a" || { \
		echo "synward: $(CLANG) has no fuzzer runtime; on Debian: apt-get install libclang-rt-$$($(CLANG) -dumpversion | cut -d. -f1)-dev" >&2; \
		exit 1; }
