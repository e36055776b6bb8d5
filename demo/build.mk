# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# demo/run builds what it needs after it has installed what building needs.

demo:
	$(Q)MAKE='$(MAKE)' demo/run
