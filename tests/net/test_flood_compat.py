# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# The floods of test_flood.py on the compat path, and on the proxy path where it hands over; a file of its own, for it
# wants the machine for itself.
import pytest

from conftest import Bed
from test_flood import (test_a_flood_of_bogus_acks_is_dropped_without_answer,  # noqa: F401
                        test_nginx_and_curl_under_a_flood,
                        test_real_connections_succeed_under_a_flood_of_forged_syns, under_flood)


@pytest.fixture(scope="module", params=["compat", "hosted"])
def bed(request):
    made = Bed("native", path=request.param)
    yield made
    made.remove()
