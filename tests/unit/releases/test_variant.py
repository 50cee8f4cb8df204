"""A variant of the study lies beside it, and a setting that does not exist is refused before anything is computed."""

import os
from datetime import date

import dagster as dg
import pytest

from capla_etl import cli, paths
from capla_etl.defs.resources import Study
from capla_etl.releases.variant import JOURNAL, PROTECTED, Variant


def test_the_study_itself_has_no_folder_of_its_own():
    study = Variant.of("", "", JOURNAL)
    assert (study.name, study.warehouse, study.environment()) == ("", paths.warehouse(), {})


def test_every_setting_is_in_the_name_of_the_folder():
    variant = Variant.of("2023-09-14", "tpe2017", PROTECTED)
    assert variant.as_of == date(2023, 9, 14)
    assert variant.warehouse == paths.warehouse() / "variants" / "as-of-2023-09-14_rules-tpe2017_protected"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("2023-02-29", "", JOURNAL), "expected a day of the calendar as YYYY-MM-DD"),
        (("", "tpe2018", JOURNAL), "expected one of adamts13_plasma_window, iwg2021"),
        (("", "", "public"), "expected one of journal, protected"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_there_is(settings, said):
    with pytest.raises(ValueError, match=said):
        Variant.of(*settings)


def test_the_command_line_says_it_at_once(capsys):
    assert cli.main(["study", "--rule-set", "tpe2018"]) == 2
    assert "tpe2017" in capsys.readouterr().err


def test_a_run_of_the_launchpad_says_it_too_and_its_settings_end_with_it(monkeypatch):
    monkeypatch.delenv("CAPLA_RULE_SET", raising=False)
    context = dg.build_init_resource_context()
    with pytest.raises(dg.Failure) as failure, Study(rule_set="tpe2018").yield_for_execution(context):
        pass
    assert "tpe2017" in failure.value.description
    with Study(rule_set="tpe2017").yield_for_execution(context):
        assert os.environ["CAPLA_RULE_SET"] == "tpe2017"
    assert "CAPLA_RULE_SET" not in os.environ
