"""A short run of ``make fire``; and what a centre's file that kills its reader does to its centre."""

import tempfile
from pathlib import Path

import pytest

from .fire import READERS, SPEC, burn


@pytest.mark.parametrize("kind", [*READERS, SPEC])
def test_every_damaged_input_ends_in_values_or_a_message_and_leaves_nothing(kind):
    before = {*Path(tempfile.gettempdir()).glob("capla_worker_*")}
    ((_, ends),) = burn([kind], 200)
    assert [end for end in ends if end.startswith("unforeseen")] == []
    assert sum(ends.values()) == 200 and ends["values"] < 200
    assert {*Path(tempfile.gettempdir()).glob("capla_worker_*")} <= before
