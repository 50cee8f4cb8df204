"""A submission is taken up once it is complete and holds something new, by content; until then it is left alone."""

import shutil
import threading

import pytest
from tiny_centre import PATIENT_ROWS, load_centre

from capla_etl import paths
from capla_etl.centres.errors import CentreRefused
from capla_etl.centres.submissions import arrivals
from capla_etl.centres.submissions.arrivals import look


@pytest.fixture
def sent(centre):
    """XX01 with a spec and a submission that nobody has looked at."""
    centre.spec()
    return centre


def _after_two_looks() -> arrivals.Arrivals:
    return look(look({}).seen)


def test_the_first_look_only_remembers_the_second_finds_it_ready(sent):
    first = look({})
    assert (first.ready, list(first.arriving)) == ({}, ["XX01"])
    assert list(look(first.seen).ready) == ["XX01"]


def test_what_is_loaded_is_not_ready_again_however_often_one_looks(sent):
    found = _after_two_looks()
    load_centre("XX01")
    assert look(found.seen).ready == {}
    assert _after_two_looks().ready == {}


def test_what_was_asked_for_is_not_ready_again_before_it_is_loaded_but_a_change_is(sent):
    found = _after_two_looks()
    found.asked_for()
    waiting = look(found.seen)
    assert waiting.ready == {}
    (sent.submission / "unknown.csv").write_text("a;b\n1;2\n")
    assert list(look(look(waiting.seen).seen).ready) == ["XX01"]


def _replace(centre, rows: str) -> None:
    centre.write("patients.csv", rows)


def _look_until_ready(seen: dict) -> arrivals.Arrivals:
    """The second look after a change, which finds it ready; marked as asked for, as the sensor does."""
    found = look(look(seen).seen)
    found.asked_for()
    return found


def test_what_comes_goes_and_comes_again_is_asked_for_each_time_by_another_name(sent):
    first, second = PATIENT_ROWS, PATIENT_ROWS.replace("01/06/2020", "02/06/2020")
    names, seen = [], {}
    for rows in (first, second, first, second, first):
        _replace(sent, rows)
        found = _look_until_ready(seen)
        assert list(found.ready) == ["XX01"]
        names.append(found.name())
        load_centre("XX01")
        seen = look(found.seen).seen
    assert len(set(names)) == 5


def test_what_was_taken_back_before_its_run_leaves_again_once_the_run_has_loaded_it(sent):
    load_centre("XX01")
    _replace(sent, PATIENT_ROWS.replace("01/06/2020", "02/06/2020"))
    asked = _look_until_ready({})
    load_centre("XX01")
    _replace(sent, PATIENT_ROWS)
    assert list(look(look(asked.seen).seen).ready) == ["XX01"]


def test_a_state_that_another_run_passed_over_is_asked_for_again(sent):
    asked = _look_until_ready({})
    _replace(sent, PATIENT_ROWS.replace("01/06/2020", "02/06/2020"))
    load_centre("XX01")
    _replace(sent, PATIENT_ROWS)
    assert list(look(look(asked.seen).seen).ready) == ["XX01"]


def test_one_arrival_has_one_name_at_every_look(sent):
    found = _after_two_looks()
    assert look(found.seen).name() == found.name() and found.name().startswith("XX01 ")


def test_what_was_refused_is_not_tried_again_until_it_changes(sent):
    (sent.submission / "unknown.csv").write_text("a;b\n1;2\n")
    with pytest.raises(CentreRefused):
        load_centre("XX01")
    assert _after_two_looks().ready == {}
    (sent.submission / "unknown.csv").unlink()
    assert list(_after_two_looks().ready) == ["XX01"]


def test_a_file_that_still_grows_is_left_alone(sent):
    seen = look({}).seen
    for part in ("C;Third Person;F;01/02/1970;", "10/01/2020;;01/06/2020\n"):
        with (sent.submission / "patients.csv").open("a") as file:
            file.write(part)
        found = look(seen)
        assert (found.ready, "changed since" in found.arriving["XX01"]) == ({}, True)
        seen = found.seen
    assert list(look(seen).ready) == ["XX01"]


def test_a_half_written_file_that_somebody_has_open_is_left_alone_however_long_he_pauses(sent):
    with (sent.submission / "labs.csv").open("w") as file:
        file.write("id;day\nA;1")
        file.flush()
        found = _after_two_looks()
        assert (found.ready, found.arriving) == ({}, {"XX01": "file 1 of 2 (.csv) is still open for writing"})
        assert look(found.seen).ready == {}
    assert list(look(found.seen).ready) == ["XX01"]


@pytest.mark.parametrize(
    "name", ["labs.csv.part", "labs.csv.filepart", "labs.csv.crdownload", "~$labs.xlsx", "LABS.TMP"]
)
def test_a_name_of_an_unfinished_file_is_left_alone(sent, name):
    (sent.submission / name).write_text("id\n")
    found = _after_two_looks()
    assert (found.ready, "the name of an unfinished file" in found.arriving["XX01"]) == ({}, True)


def test_the_same_content_under_another_name_is_nothing_new(sent):
    load_centre("XX01")
    (sent.submission / "patients.csv").rename(sent.submission / "patients_2.csv")
    shutil.copytree(sent.submission, sent.folder / "2021-03-31")
    assert _after_two_looks().ready == {}


def test_twenty_files_at_once_are_one_arrival(sent):
    seen = look({}).seen
    newer = sent.folder / "2021-06-30"
    newer.mkdir()
    writers = [threading.Thread(target=(newer / f"file{n}.csv").write_text, args=(f"id\n{n}\n",)) for n in range(20)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = look(seen)
    assert found.ready == {}
    assert list(look(found.seen).ready) == ["XX01"]


def test_a_folder_that_goes_away_while_one_looks_stops_nobody(sent, monkeypatch):
    shutil.copytree(sent.folder, paths.data_raw() / "XX02")
    seen = look({}).seen
    true_received = arrivals.received

    def vanishing(folder):
        if folder.name == "XX01":
            shutil.rmtree(folder)
        return true_received(folder)

    monkeypatch.setattr(arrivals, "received", vanishing)
    found = look(seen)
    assert (list(found.ready), list(found.arriving)) == (["XX02"], ["XX01"])


def test_a_centre_whose_folder_is_gone_is_named(sent):
    load_centre("XX01")
    shutil.rmtree(sent.folder)
    found = _after_two_looks()
    assert (found.ready, found.gone) == ({}, ["XX01"])
    assert any("stays at its last good submission" in line for line in found.in_words())


def test_a_folder_without_a_spec_is_named(centre):
    found = _after_two_looks()
    assert (found.ready, found.without_spec) == ({}, ["XX01"])
    assert any("capla centre draft" in line for line in found.in_words())
