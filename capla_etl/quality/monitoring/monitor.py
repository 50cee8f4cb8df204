"""Monitor centres: every family of checks over one centre and the others."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from capla_etl.centres.spec.grammar import Spec
from capla_etl.quality.monitoring.signal import Monitored


@dataclass(frozen=True)
class CentrePatients:
    """What monitoring knows of one centre's submission.

    ``quantities``: one row per patient, as ``quantities.patient_quantities`` returns it. ``before``: the same of the
    submission before, or None.
    """

    centre_id: str
    quantities: pd.DataFrame
    before: pd.DataFrame | None = None


def centre_patients(
    spec: Spec, tables: Mapping[str, pa.Table], before: Mapping[str, pa.Table] | None = None
) -> CentrePatients:
    """Make from a centre's harmonised tables (``harmonised.patient``, ...) what monitoring looks at."""
    raise NotImplementedError


def monitor(centre: CentrePatients, others: list[CentrePatients]) -> Monitored:
    """Look at one centre beside the others."""
    raise NotImplementedError
