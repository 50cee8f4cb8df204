"""A small part of ``make faults``: a fault of each family is seen, and a centre without faults gives no stop."""

import shutil

import numpy as np
import pytest

from capla_etl import paths
from capla_etl.quality.monitoring.signal import FAMILIES

from . import clean, measure, peers
from .kinds import KINDS
from .measure import BY_READING, Case, Seen

#: The centre with the faults, and those beside it.
CENTRE, BESIDE = "US01", ("AT01", "BR01", "CA01", "HU01")
#: Family -> kind, size and field of one fault that is large enough for 81 patients.
FAULTS = {
    "level": ("column too low", 10.0, "lab_result.platelets_10e9_per_l"),
    "mixture": ("unit changed on a date (factor, last share)", (10.0, 0.5), "lab_result.ldh_x_uln"),
    "shape": ("column sorted alone", 1.0, "patient.hemoglobin_g_per_dl"),
    "dates": ("days earlier", 30, "lab_result.result_date"),
    "within_patients": ("series shuffled", 1.0, "lab_result.platelets_10e9_per_l"),
    "completeness": ("file cut: rows of the last patients gone", 0.3, "lab_result"),
    "between_columns": ("numbers of patients one row off in one file", 1.0, "lab_result"),
    "between_submissions": ("pseudonyms permuted", 1.0, "all"),
}


@pytest.fixture(scope="module", autouse=True)
def five_centres(tmp_path_factory):
    folder = tmp_path_factory.mktemp("five") / "data_raw"
    folder.mkdir()
    shutil.copy(paths.data_raw() / "SYNTHETIC", folder)
    for name in (CENTRE, *BESIDE):
        shutil.copytree(paths.data_raw() / name, folder / name)
    cached = (measure.centres, measure.clean, clean._frames, clean._all)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CAPLA_DATA_RAW", str(folder))
        for of in cached:
            of.cache_clear()
        yield
    for of in cached:
        of.cache_clear()


def seen(family: str) -> Seen:
    name, size, target = FAULTS[family]
    number = next(i for i, kind in enumerate(KINDS) if kind.name == name)
    assert KINDS[number].family == family
    return measure.measured(Case(number, KINDS[number].sizes.index(size), target, CENTRE), with_effect=False)


def test_every_family_has_a_fault_here():
    assert list(FAULTS) == list(FAMILIES)


@pytest.mark.parametrize("family", FAULTS)
def test_a_fault_of_each_family_is_seen(family):
    assert seen(family).is_seen


def test_a_centre_without_faults_gives_no_stop():
    assert not measure.clean(CENTRE).stops


def test_a_column_in_a_unit_that_is_not_possible_is_refused_before_monitoring():
    number = next(i for i, kind in enumerate(KINDS) if kind.name == "column in another unit")
    case = Case(number, KINDS[number].sizes.index("third"), "lab_result.platelets_10e9_per_l", CENTRE)
    assert measure.measured(case, with_effect=False).answer == BY_READING


def test_patients_drawn_again_have_new_numbers_and_values_that_the_centre_writes():
    own = clean._frames(CENTRE)
    ids = own["patient"]["patient_id"].to_numpy()
    made = clean.redrawn(own, np.concatenate([ids, ids]), np.random.default_rng(1))
    patient, lab = made["patient"], made["lab_result"]
    assert len(patient) == 2 * len(ids) and patient["patient_id"].is_unique
    assert len(lab) == 2 * len(own["lab_result"])
    assert set(lab["patient_id"]) <= set(patient["patient_id"])
    for column in ("hemoglobin_g_per_dl", "creatinine_umol_per_l"):
        assert set(patient[column].dropna()) <= set(own["patient"][column].dropna())


def test_centres_that_differ_do_so_within_the_limits():
    own = clean._frames(CENTRE)
    made = clean.differing(own, np.random.default_rng(1))
    ratio = made["patient"]["hemoglobin_g_per_dl"].median() / own["patient"]["hemoglobin_g_per_dl"].median()
    assert 1 / 1.3 < ratio < 1.3
    share = [(f["patient"]["first_episode"] == "yes").mean() for f in (own, made)]
    assert abs(share[1] - share[0]) <= clean.POINTS + 0.01


@pytest.mark.parametrize(
    ("values", "step"), [([7.1, 8.0, 9.5], 0.1), ([150, 20, 31], 1), ([4.464, 1.004], 0.004), ([88.4, 44.2], 0.884)]
)
def test_the_step_in_which_a_column_is_written_is_found(values, step):
    assert peers.grid(np.array(values, float)) == step
