"""The protocol's parameters are read from one place, each with its source."""

import pytest

from capla_etl.protocol.parameters import parameter, parameters


def test_every_parameter_names_its_source():
    assert [p.name for p in parameters().values() if not p.source] == []
    assert parameters()["response_confirm_within_days"].source.startswith("PROTOCOL 3.1")


def test_a_parameter_has_its_declared_value():
    assert parameter("follow_up_days") == 90


def test_an_unknown_parameter_is_an_error():
    with pytest.raises(KeyError):
        parameter("follow_up")
