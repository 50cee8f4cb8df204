"""A submission with an open stop is held back as a refused one is; what was accepted once stays; people can confirm.

Which centres give a signal is set by each test: what is a signal is tested with the families.
"""

import json
import shutil
from dataclasses import replace
from datetime import date

import duckdb
import pandas as pd
import pytest
from tiny_centre import HEAD, TinyCentre

from capla_etl import cli, paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.spec.check import load_spec
from capla_etl.centres.spec.grammar import Confirmed
from capla_etl.centres.submissions import load as loading
from capla_etl.centres.submissions.arrivals import look
from capla_etl.centres.submissions.assemble import assemble
from capla_etl.centres.submissions.load import receive_here as receive
from capla_etl.centres.submissions.status import accepted_before, centre_status, good_loads, received_loads
from capla_etl.quality.monitoring import submissions
from capla_etl.quality.monitoring.monitor import CentrePatients
from capla_etl.quality.monitoring.signal import LOOK, MONITORED, STOP, Monitored, Signal
from capla_etl.quality.monitoring.submissions import confirmed, decide, of_load, read_signals, tables, to_remove

PLACE = {"file": "patients.csv", "column_name": "sex"}


def _signal(centre_id: str = "XX01", severity: str = STOP, found: str = "a median of 3", **more) -> Signal:
    about = ("level", "level", "age", "age_years_at_first_tpe", found, "about 50", "As if in decades.", 1e-6, 9)
    return Signal(centre_id, severity, *about, **PLACE | more)


SIGNAL_ID = _signal().signal_id


class Monitor:
    """Stands for ``monitor``: gives the signals that a test sets, and remembers beside whom each centre was looked at.

    ``signals``: centre -> its signals, or a function of the centre's and the others' patients.
    """

    def __init__(self):
        self.signals: dict = {}
        self.beside: dict[str, list[str]] = {}

    def __call__(self, centre: CentrePatients, others: list[CentrePatients]) -> Monitored:
        self.beside[centre.centre_id] = sorted(other.centre_id for other in others)
        given = self.signals.get(centre.centre_id, [])
        row = dict.fromkeys(MONITORED.names) | {"centre_id": centre.centre_id, "family": "level", "check_name": "level"}
        rows = [
            row | {"quantity": "age", "judged": "yes"},
            row | {"quantity": "ldh", "judged": "no", "why_not": "none"},
        ]
        looked_at = pd.DataFrame(rows).drop(columns="submission")
        return Monitored(centre.centre_id, given(centre, others) if callable(given) else list(given), looked_at)


@pytest.fixture
def monitor(monkeypatch) -> Monitor:
    """No signals until a test sets some; patients without quantities."""
    stub = Monitor()

    def patients(spec, tables, before=None):
        return CentrePatients(spec.centre.id, *(t and t["patient"].to_pandas() for t in (tables, before)))

    monkeypatch.setattr(submissions, "monitor", stub)
    monkeypatch.setattr(submissions, "centre_patients", patients)
    return stub


@pytest.fixture
def second(centre) -> TinyCentre:
    """XX02, beside XX01; both can be read."""
    centre.spec()
    folder = centre.folder.parent / "XX02"
    shutil.copytree(centre.folder, folder)
    spec = folder / "centre.yml"
    spec.write_text(spec.read_text().replace("XX01", "XX02"))
    other = TinyCentre.__new__(TinyCentre)
    other.folder, other.submission = folder, folder / "2020-12-31"
    return other


def _run(*centres: str) -> list[submissions.Looked]:
    """What a run of the study does with these centres."""
    for centre_id in centres:
        receive(centre_id)
    return decide()


def _statuses() -> dict[str, tuple]:
    return {s.centre_id: (s.status, s.submission and str(s.submission)) for s in centre_status()}


def _resubmit(centre: TinyCentre, day: str = "2021-06-30") -> None:
    """Send again with the second patient's sex changed."""
    newer = centre.folder / day
    shutil.copytree(centre.submission, newer)
    text = (newer / "patients.csv").read_text()
    (newer / "patients.csv").write_text(text.replace("B;Hidden Person;M", "B;Hidden Person;F"))


def _confirm(centre: TinyCentre, found: str = "a median of 3", day: str = "2021-01-05") -> None:
    spec = centre.folder / "centre.yml"
    entry = (
        f"{{signal: {SIGNAL_ID}, found: {found}, reason: a children's ward, confirmed_by: Dr A, confirmed_on: {day}}}"
    )
    spec.write_text(f"{spec.read_text()}\nconfirmed:\n  - {entry}\n")


# ------------------------------------------------------------------ held back or accepted


def test_without_a_signal_what_was_received_is_the_good_load(second, monitor):
    _run("XX01", "XX02")
    assert _statuses() == {"XX01": ("current", "2020-12-31"), "XX02": ("current", "2020-12-31")}
    assert received_loads() == {}
    assert monitor.beside == {"XX01": ["XX02"], "XX02": ["XX01"]}


def test_what_was_received_is_not_in_the_study_before_it_is_looked_at(second, monitor):
    receive("XX01")
    assert good_loads() == {}
    assert list(received_loads()) == ["XX01"]


def test_a_first_submission_with_a_stop_is_not_in_the_study_and_the_others_go_on(second, monitor):
    monitor.signals = {"XX01": [_signal()]}
    _run("XX01", "XX02")
    assert _statuses() == {"XX01": ("held_back", None), "XX02": ("current", "2020-12-31")}
    (first, _) = centre_status()
    assert first.problems == [
        f"{SIGNAL_ID}: patients.csv, column 'sex': As if in decades. Found a median of 3; expected about 50. Send a "
        "corrected file, correct the spec, or confirm it in centre.yml."
    ]
    with duckdb.connect() as con:
        assemble(con)
        assert con.execute("select distinct centre_id from harmonised.patient").fetchall() == [("XX02",)]


def test_a_later_submission_with_a_stop_leaves_the_last_good_load(second, monitor):
    _run("XX01", "XX02")
    _resubmit(second)
    monitor.signals = {"XX02": [_signal("XX02")]}
    _run("XX02")
    assert _statuses()["XX02"] == ("held_back", "2020-12-31")
    with duckdb.connect() as con:
        assemble(con)
        assert con.execute(
            "select sex from harmonised.patient where centre_id = 'XX02' and centre_patient_id = 'B'"
        ).fetchall() == [("male",)]


def test_a_signal_to_look_at_loads(second, monitor):
    monitor.signals = {"XX01": [_signal(severity=LOOK)]}
    _run("XX01", "XX02")
    assert _statuses()["XX01"] == ("current", "2020-12-31")


def test_a_submission_that_is_held_back_is_accepted_once_the_others_no_longer_speak_against_it(second, monitor):
    """XX01 is odd while it is alone."""
    monitor.signals = {"XX01": lambda centre, others: [] if others else [_signal()]}
    _run("XX01")
    assert _statuses()["XX01"] == ("held_back", None)
    _run("XX02")
    assert _statuses()["XX01"] == ("current", "2020-12-31")


def test_a_centre_in_the_study_stays_in_it_when_anothers_arrival_makes_it_the_odd_one(second, monitor):
    """Also when everything is read again, as every night."""
    monitor.signals = {"XX01": lambda centre, others: [_signal()] if others else []}
    _run("XX01")
    for centres in (["XX02"], ["XX01", "XX02"]):
        looked = _run(*centres)
        assert _statuses() == {"XX01": ("current", "2020-12-31"), "XX02": ("current", "2020-12-31")}
        assert [len(centre.monitored.stops) for centre in looked] == [1, 0], "it is said all the same"


def test_a_rebuild_accepts_what_the_study_accepted_and_nothing_else(second, monitor, monkeypatch, tmp_path):
    """XX01 was accepted before XX02 came; from the files alone it would be held back."""
    monitor.signals = {"XX01": lambda centre, others: [_signal()] if others else []}
    _run("XX01")
    _run("XX02")
    monkeypatch.setenv("CAPLA_ACCEPTED", str(paths.accepted()))
    monkeypatch.setenv("CAPLA_AS_OF", "2021-12-31")
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "rebuilt"))
    _run("XX01", "XX02")
    assert _statuses() == {"XX01": ("current", "2020-12-31"), "XX02": ("current", "2020-12-31")}
    monkeypatch.delenv("CAPLA_ACCEPTED")
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "without"))
    _run("XX01", "XX02")
    assert _statuses()["XX01"] == ("held_back", None)


@pytest.mark.parametrize(("day", "status"), [("2021-01-04", "held_back"), ("2021-01-05", "current")])
def test_a_rebuild_holds_back_what_only_a_later_confirmation_let_in(
    second, monitor, centre, monkeypatch, tmp_path, day, status
):
    monitor.signals = {"XX01": [_signal()]}
    _run("XX01", "XX02")
    _confirm(centre, day="2021-01-05")
    _run("XX01")
    assert _statuses()["XX01"][0] == "current"
    monkeypatch.setenv("CAPLA_ACCEPTED", str(paths.accepted()))
    monkeypatch.setenv("CAPLA_AS_OF", day)
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "rebuilt"))
    _run("XX01", "XX02")
    assert _statuses()["XX01"][0] == status


def test_a_rebuild_accepts_what_was_accepted_before_a_later_signal_was_confirmed(
    second, monitor, centre, monkeypatch, tmp_path
):
    _run("XX01", "XX02")
    monitor.signals = {"XX01": [_signal()]}
    _confirm(centre, day="2021-01-05")
    _run("XX01")
    monkeypatch.setenv("CAPLA_ACCEPTED", str(paths.accepted()))
    monkeypatch.setenv("CAPLA_AS_OF", "2021-01-04")
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(tmp_path / "rebuilt"))
    _run("XX01", "XX02")
    assert _statuses()["XX01"][0] == "current"


def test_what_is_accepted_as_of_an_earlier_day_is_not_accepted_for_good(second, monitor, monkeypatch):
    monkeypatch.setenv("CAPLA_AS_OF", "2020-12-31")
    _run("XX01")
    assert not accepted_before(good_loads()["XX01"])
    monkeypatch.delenv("CAPLA_AS_OF")
    _run("XX01")
    assert accepted_before(good_loads()["XX01"])


@pytest.mark.parametrize(
    ("change", "status"), [("# a remark", "current"), ("missing: [n.a.]", "held_back"), ("confirmed: []", "current")]
)
def test_another_spec_makes_an_accepted_submission_a_new_one(second, monitor, centre, change, status):
    """A remark does not, nor does what people confirm."""
    _run("XX01", "XX02")
    monitor.signals = {"XX01": [_signal()]}
    (centre.folder / "centre.yml").write_text((centre.folder / "centre.yml").read_text() + f"\n{change}\n")
    _run("XX01")
    assert _statuses()["XX01"] == (status, "2020-12-31")


def test_a_refused_submission_takes_the_place_of_one_that_was_held_back(second, monitor, centre):
    monitor.signals = {"XX01": [_signal()]}
    _run("XX01", "XX02")
    (centre.submission / "patients.csv").write_text("id;sex\n")
    with pytest.raises(CentreRefused):
        receive("XX01")
    monitor.signals = {}
    decide()
    assert _statuses()["XX01"] == ("not_loaded", None)
    assert received_loads() == {}


def test_a_submission_that_is_held_back_is_not_asked_for_again_until_it_changes(second, monitor, centre):
    monitor.signals = {"XX01": [_signal()]}
    _run("XX01", "XX02")
    seen = look(look({}).seen)
    assert seen.ready == {}
    (centre.submission / "patients.csv").write_text((centre.submission / "patients.csv").read_text() + "C;;F;;;;\n")
    assert list(look(look(seen.seen).seen).ready) == ["XX01"]


def test_a_centre_that_was_withdrawn_does_not_come_back_with_what_was_held_back(second, monitor, centre):
    monitor.signals = {"XX01": [_signal()]}
    _run("XX01", "XX02")
    shutil.rmtree(centre.folder)
    monitor.signals = {}
    decide()
    assert list(_statuses()) == ["XX02"]


# ------------------------------------------------------------------ killed runs


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("step", ["forget_refusal", "switch.link", "switch.remove", "accept"])
def test_a_run_killed_between_two_steps_leaves_a_whole_state(second, monitor, monkeypatch, step):
    """Killed before each of the steps by which a load is accepted, and between two centres; the next run ends it."""
    _run("XX01", "XX02")
    _resubmit(second)
    receive("XX02")
    receive("XX01")
    place = submissions if step == "accept" else loading.switch if step.startswith("switch") else loading
    whole = getattr(place, step.rpartition(".")[2])

    def killed(of, *rest):
        if "XX02" in str(of) and not str(of).endswith(".new"):
            raise Killed
        return whole(of, *rest)

    monkeypatch.setattr(place, step.rpartition(".")[2], killed)
    with pytest.raises(Killed):
        decide()
    accepted = {"XX02": "2021-06-30" if step == "switch.remove" else "2020-12-31"}
    assert {c: str(load.submission) for c, load in good_loads().items()} == {"XX01": "2020-12-31"} | accepted
    monkeypatch.undo()
    monkeypatch.setenv("CAPLA_DATA_RAW", str(second.folder.parent))
    monkeypatch.setenv("CAPLA_WAREHOUSE", str(second.folder.parent.parent / "warehouse"))
    monkeypatch.setattr(submissions, "monitor", monitor)  # the loads keep what is looked at
    decide()
    assert _statuses() == {"XX01": ("current", "2020-12-31"), "XX02": ("current", "2021-06-30")}
    assert received_loads() == {}


def test_a_run_killed_while_it_reads_leaves_the_last_good_load(second, monitor, monkeypatch):
    _run("XX01", "XX02")
    _resubmit(second)

    def killed(*_, **__):
        raise Killed

    monkeypatch.setattr(loading.pq, "write_table", killed)
    with pytest.raises(Killed):
        receive("XX02")
    decide()
    assert _statuses()["XX02"] == ("waiting", "2020-12-31")


# ------------------------------------------------------------------ the submission before


def test_the_submission_before_is_looked_at_too_without_the_patients_who_left(second):
    """Of a patient who left, the number is kept, and nothing else."""
    _resubmit(second)
    (second.folder / "2021-06-30" / "patients.csv").write_text(
        "\n".join((second.submission / "patients.csv").read_text().splitlines()[:2]) + "\n"
    )
    receive("XX02")
    before = of_load(received_loads()["XX02"]).before.set_index("centre_patient_id")
    assert before.loc["A", "sex"] == "female"
    assert before.loc["B", ["sex", "day0", "linkage", "source_file"]].isna().all()


def test_there_is_no_submission_before_where_the_spec_cannot_read_it(second):
    _resubmit(second)
    text = (second.submission / "patients.csv").read_text()
    (second.submission / "patients.csv").write_text(text.replace("id;name", "number;name", 1))
    receive("XX02")
    load = received_loads()["XX02"]
    assert (load.previous, of_load(load).before) == (date(2020, 12, 31), None)


def test_a_first_submission_has_none_before(second):
    receive("XX02")
    load = received_loads()["XX02"]
    assert (load.previous, of_load(load).before) == (None, None)


def test_what_is_kept_in_a_load_is_what_is_computed(second):
    _resubmit(second)
    receive("XX02")
    load = received_loads()["XX02"]
    computed = of_load(load, keep=True)
    kept = of_load(load)
    pd.testing.assert_frame_equal(kept.quantities, computed.quantities)
    pd.testing.assert_frame_equal(kept.before, computed.before)
    assert (kept.places, kept.rows) == (computed.places, computed.rows)
    assert kept.places["patient", "sex", ""] == ("patients.csv", "", "sex")


def test_what_other_code_has_kept_is_computed_again(second, monkeypatch):
    receive("XX02")
    of_load(received_loads()["XX02"], keep=True)
    monkeypatch.setattr(submissions, "_made_by", lambda: "other")
    of_load(received_loads()["XX02"], keep=True)
    kept = {path.name for path in received_loads()["XX02"].folder.glob("monitoring.*")}
    assert kept == {"monitoring.other.quantities", "monitoring.other.rest"}


# ------------------------------------------------------------------ confirmations


def _monitored(*signals: Signal) -> Monitored:
    return Monitored("XX01", list(signals), pd.DataFrame())


def _declared(found: str = "a median of 3", day: str = "2021-01-05") -> Confirmed:
    return Confirmed(signal=SIGNAL_ID, found=found, reason="a ward", confirmed_by="Dr A", confirmed_on=day)


def test_a_confirmed_stop_loads_and_is_listed_as_confirmed(second, monitor, centre):
    monitor.signals = {"XX01": [_signal()]}
    _run("XX01", "XX02")
    _confirm(centre)
    looked = _run("XX01")
    assert _statuses()["XX01"] == ("current", "2020-12-31")
    (row,) = tables(looked)["quality.signal"].to_pylist()
    assert (row["status"], row["reason"], row["confirmed_by"]) == ("confirmed", "a children's ward", "Dr A")
    assert row["confirmed_on"] == date(2021, 1, 5)


def test_a_confirmation_lapses_when_the_finding_changes_and_says_what_was_found_then_and_now():
    (signal,) = confirmed(_monitored(_signal(found="a median of 4")), [_declared()]).signals
    assert signal.holds_back
    for said in ("Dr A", "2021-01-05", "no longer fits", "'a median of 3'", "'a median of 4'"):
        assert said in signal.in_words


def test_of_two_confirmations_the_one_that_fits_counts():
    for declared in ([_declared(), _declared("a median of 9")], [_declared("a median of 9"), _declared()]):
        (signal,) = confirmed(_monitored(_signal()), declared).signals
        assert (signal.status, signal.in_words.count("no longer")) == ("confirmed", 0)


def test_a_confirmation_of_another_signal_changes_nothing():
    other = replace(_signal(), quantity="ldh")
    assert confirmed(_monitored(other), [_declared()]).signals == [other]


@pytest.mark.parametrize(("day", "status"), [("2021-01-04", "open"), ("2021-01-05", "confirmed")])
def test_a_confirmation_counts_from_its_day_when_an_earlier_state_is_rebuilt(monkeypatch, day, status):
    monkeypatch.setenv("CAPLA_AS_OF", day)
    (signal,) = confirmed(_monitored(_signal()), [_declared()]).signals
    assert signal.status == status


def test_a_confirmation_that_applies_to_nothing_is_to_be_removed():
    declared = [_declared()]
    assert to_remove(_monitored(_signal()), declared) == []
    (gone,) = to_remove(_monitored(), declared)
    assert SIGNAL_ID in gone and "there is no such signal any more; remove" in gone
    (changed,) = to_remove(_monitored(_signal(found="a median of 4")), declared)
    assert "the finding has changed; replace" in changed


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{}", "confirmed.0.signal: missing"),
        ("{signal: S-1}", "confirmed.0.signal: found 'S-1'"),
        ("{until: 2022-01-01}", "confirmed.0.until: unknown key"),
        ("{confirmed_on: 31.12.2020}", "confirmed.0.confirmed_on: found '31.12.2020'"),
        ("{confirmed_on: 2021-02-29}", "a day of the calendar as YYYY-MM-DD"),
        ("{confirmed_on: '20210228'}", "a day of the calendar as YYYY-MM-DD"),
        ("{reason: ''}", "confirmed.0.reason: found ''"),
    ],
)
def test_a_malformed_confirmation_is_refused_with_its_key(centre, entry, said):
    centre.spec(head=f"{HEAD}confirmed: [{entry}]\n")
    with pytest.raises(CentreRefused, match=said.replace(".", r"\.")):
        load_spec(centre.folder / "centre.yml")


# ------------------------------------------------------------------ tables


def test_every_signal_and_everything_that_was_looked_at_is_a_row(second, monitor):
    monitor.signals = {"XX01": [_signal(severity=LOOK, rows=[4, 7]), replace(_signal(), quantity="ldh")]}
    made = tables(_run("XX01", "XX02"))
    with duckdb.connect() as con:
        con.execute("create schema quality")
        for relation, table in made.items():
            con.register("rows", table)
            con.execute(f"create table {relation} as select * from rows")
            con.unregister("rows")
        signals = read_signals(con)
        assert signals == [replace(_signal(), quantity="ldh"), _signal(severity=LOOK, rows=[4, 7])], "the gravest first"
        looked_at = con.execute("select centre_id, submission::varchar, quantity, judged from quality.monitored")
        assert looked_at.fetchall() == [
            (centre_id, "2020-12-31", quantity, judged)
            for centre_id in ("XX01", "XX02")
            for quantity, judged in (("age", "yes"), ("ldh", "no"))
        ]


def test_the_history_says_in_which_submission_a_signal_is_seen(second, monitor):
    """The median is seen in both submissions, LDH only in the newer one, digits only in the one before."""

    def seen(centre, others):
        old = centre.before is None
        return [_signal("XX02", LOOK), replace(_signal("XX02", LOOK), quantity="digits" if old else "ldh")]

    _resubmit(second)
    monitor.signals = {"XX02": seen}
    history = tables(_run("XX01", "XX02"))["quality.signal_history"].to_pandas()
    said = history.assign(
        quantity=history["signal_id"].map(
            {replace(_signal("XX02"), quantity=q).signal_id: q for q in ("age", "ldh", "digits")}
        )
    )
    old, new = date(2020, 12, 31), date(2021, 6, 30)
    assert sorted(said[["quantity", "submission", "first_seen", "last_seen"]].itertuples(index=False, name=None)) == [
        ("age", old, old, new),
        ("age", new, old, new),
        ("digits", old, old, old),
        ("ldh", new, new, new),
    ]


# ------------------------------------------------------------------ capla centre check


def _checked(capsys, *more: str) -> tuple[int, str, str]:
    status = cli.main(["centre", "check", "XX01", *more])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_check_compares_with_the_others_files_where_they_are_not_loaded_and_says_so(second, monitor, capsys):
    monitor.signals = {"XX01": [_signal(rows=[3])]}
    status, out, err = _checked(capsys)
    assert (status, monitor.beside["XX01"]) == (1, ["XX02"])
    assert "XX02 has no load on this machine: its files are read" in err
    assert "XX01, submission 2020-12-31: held back, 2 patients. Nothing was loaded." in out
    assert f"STOP  {SIGNAL_ID}  patients.csv, column 'sex': As if in decades." in out and "Rows 3." in out
    assert "2 checks, 1 of them not judged" in out and "none: level of ldh" in out
    assert not paths.warehouse().exists()


def test_a_check_compares_with_the_others_loads(second, monitor, capsys):
    _run("XX02")
    capsys.readouterr()
    status, _, err = _checked(capsys)
    assert (status, err, monitor.beside["XX01"]) == (0, "", ["XX02"])


def test_a_centre_that_cannot_be_read_is_left_out_of_the_comparison_and_named(second, monitor, capsys):
    (second.submission / "patients.csv").write_text("id;sex\n")
    status, _, err = _checked(capsys)
    assert (status, monitor.beside["XX01"]) == (0, [])
    assert "XX02 cannot be read and is left out of the comparison." in err


@pytest.mark.parametrize(("severity", "ends_with"), [(STOP, 1), (LOOK, 0)])
def test_only_a_stop_changes_the_exit_status(second, monitor, capsys, severity, ends_with):
    monitor.signals = {"XX01": [_signal(severity=severity)]}
    assert _checked(capsys)[0] == ends_with


def test_machines_read_the_signals(second, monitor, capsys, centre):
    monitor.signals = {"XX01": [_signal(rows=[3])]}
    status, out, _ = _checked(capsys, "--json")
    found = json.loads(out)
    assert (status, found["status"]) == (1, "held back")
    (signal,) = found["signals"]
    assert signal == {
        "id": SIGNAL_ID, "severity": "stop", "family": "level", "check": "level", "quantity": "age",
        "field": "age_years_at_first_tpe", "file": "patients.csv", "sheet": "", "column": "sex",
        "found": "a median of 3", "expected": "about 50", "looks_like": "As if in decades.", "p_value": 1e-6,
        "patients": 9, "patient_numbers": [], "rows": [3], "status": "open", "in_words": _signal().in_words,
    }  # fmt: skip
    assert found["not_judged"] == [{"check": "level", "quantity": "ldh", "why": "none"}]
    _confirm(centre)
    status, out, _ = _checked(capsys, "--json")
    assert (status, json.loads(out)["status"], json.loads(out)["signals"][0]["status"]) == (
        0,
        "can be loaded",
        "confirmed",
    )


def test_a_check_says_which_confirmation_is_to_be_removed(second, monitor, capsys, centre):
    _confirm(centre)
    status, out, _ = _checked(capsys)
    assert status == 0
    assert f"confirmed: {SIGNAL_ID}" in out and "there is no such signal any more" in " ".join(out.split())
