# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""How a guest knows its NICs, for the host that gives them and the guest that takes them: by the pair's number."""

SERVER_MAC, CLIENT_MAC = "52:54:00:00:{:02x}:01", "52:54:00:00:{:02x}:02"

# Pairs on taps of the host, with that many queues, all off-loads and large frames; the others are on a hub of the emulator.
TAPS = {1: 2}
