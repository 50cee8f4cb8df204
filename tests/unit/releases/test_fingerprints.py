"""What counts on a day: submissions, corrections, answers, and what people confirmed in a spec."""

from datetime import date

from capla_etl.releases.fingerprints import last_day

CONFIRMED = """
confirmed:
  - {signal: S-0123456789, found: a median of 3, reason: a ward, confirmed_by: Dr A, confirmed_on: 2021-01-05}
"""


def test_a_confirmation_counts_among_the_days_of_a_study(centre, monkeypatch):
    """A rebuild as of the last day would otherwise hold back what the confirmation let in."""
    centre.spec()
    assert last_day() == date(2020, 12, 31)
    spec = centre.folder / "centre.yml"
    spec.write_text(spec.read_text() + CONFIRMED)
    assert last_day() == date(2021, 1, 5)
    monkeypatch.setenv("CAPLA_AS_OF", "2021-01-04")
    assert last_day() == date(2020, 12, 31)
