# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#    raw peer, cg0 ──────────── sw0 (synward)  ┐ box ┬ listener, or bs0 ──────── ss0, listener
#    raw peer, cd0 ──────────── dir0           ┘
#
# Host mode's tests of the conformance points, as they are, on the beds of proxy mode: what
# a client sees must be what it sees without synward. Those that are missing from the list
# are about a socket in this kernel that proxy mode does not ask (the accept queue, the listener's options).
import pytest

from proxy_world import ProxyBed
from test_handshake import (  # noqa: F401
    test_point_01_close_is_as_direct,
    test_point_03_a_syn_full_of_data_is_answered_by_a_small_frame,
    test_point_03_data_in_the_syn_is_not_acknowledged_and_the_connection_completes,
    test_point_08_final_ack_duplicated_makes_one_connection,
    test_point_08_syn_retransmitted_makes_one_connection,
    test_point_08_two_synacks_outstanding_make_one_connection,
    test_point_09_fin_on_the_first_segment_completes_and_closes,
    test_point_09_final_ack_lost_data_completes_the_handshake,
    test_point_01_every_stack_shakes_hands_and_keeps_what_it_offered,
    test_point_09_final_ack_and_first_data_lost_the_second_is_answered_by_its_retransmission,
    test_point_14_no_reply_to_a_frame_for_another_station,
)
from test_options import (  # noqa: F401
    test_point_04_data_offset_as_direct,
    test_point_04_odd_options_are_read_as_the_kernel_reads_them,
    test_point_05_a_kernel_client_loses_no_time_to_retransmissions,
    test_point_05_only_what_was_offered_and_allowed,
    test_point_05_timestamps_echo_and_never_step_back,
    test_point_05_window_scale_over_14_is_14,
    test_point_06_an_ecn_connection_marks_its_data_and_answers_marks,
    test_point_07_frame_is_well_formed,
    test_point_07_synack_equals_the_kernels_own,
)
from test_segments import (  # noqa: F401
    test_point_02_rst_to_a_listener_changes_nothing,
    test_point_12_bad_checksum_earns_nothing,
    test_point_12_unfinished_checksum_of_a_local_sender_is_right,
    test_point_13_dont_fragment_clear_is_answered,
    test_point_13_ipv6_extension_headers_are_walked,
)


@pytest.fixture(scope="module", params=[("native", "nft"), ("generic", "local")], ids="-".join)
def bed(request):
    """The other beds have theirs in test_proxy.py."""
    made = ProxyBed(request.param[1], request.param[0])
    yield made
    made.remove()
