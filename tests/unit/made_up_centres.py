"""Made-up centres for tests of monitoring: patients with what the checks look at, drawn from known distributions."""

import numpy as np
import pandas as pd

from capla_etl.quality.monitoring.monitor import CentrePatients, monitor
from capla_etl.quality.monitoring.quantities import ABOUT
from capla_etl.quality.monitoring.signal import Monitored
from capla_etl.quality.monitoring.watched import watched


def patients(centre: str, n: int, seed: int, **levels: float) -> pd.DataFrame:
    """Draw patients: haemoglobin about 8.5 g/dL, creatinine about 95 umol/L, volumes about 3500 mL, and so on.

    Args:
        levels: quantity -> factor of its level in this centre (a share: its share instead).
    """
    rng = np.random.default_rng([seed, *map(ord, centre)])
    frame = pd.DataFrame(np.nan, index=[f"{centre}-{i}" for i in range(n)], columns=list(watched()))
    frame["hemoglobin"] = np.round(rng.normal(8.5, 1.5, n).clip(4, 14) * levels.get("hemoglobin", 1), 1)
    frame["creatinine"] = np.round(np.exp(rng.normal(np.log(95), 0.4, n)) * levels.get("creatinine", 1))
    frame["troponin"] = np.round(np.exp(rng.normal(0.2, 1.2, n)) * levels.get("troponin", 1), 2)
    frame["anti_adamts13"] = np.round(np.exp(rng.normal(3.9, 0.8, n)) * levels.get("anti_adamts13", 1), 1)
    frame["volume"] = np.round(rng.normal(3500, 450, n).clip(2000, 5500) * levels.get("volume", 1))
    frame["platelets_day_0"] = np.round(np.exp(rng.normal(2.6, 0.5, n)) * levels.get("platelets_day_0", 1)).clip(1)
    frame["exchanges"] = rng.poisson(8, n) + 1.0
    frame["last_exchange_day"] = frame["exchanges"] + rng.poisson(0.5, n)
    frame["platelets_results"] = 13.0 + rng.integers(0, 2, n)
    for name, share in (("female", 0.68), ("coma", 0.08), ("first_episode", 0.87), ("platelets_first_day", 0.99)):
        frame[name] = (rng.random(n) < levels.get(name, share)).astype(float)
    about = {"centre_patient_id": [str(i) for i in range(n)], "source_file": "patients.csv", "source_sheet": ""}
    about |= {"source_row": np.arange(2, n + 2), "place": np.arange(1, n + 1), "treated": True}
    about |= {"day0": rng.integers(6600, 8400, n).astype(float), "sex": np.where(frame["female"], "female", "male")}
    about |= {"linkage": [f"{centre}{i}" for i in range(n)], "ldh_series": None}
    about |= {"platelet_series": [f"{centre}{i}" for i in range(n)]}
    return frame.assign(**about)[[*ABOUT, *watched()]]


def others(count: int = 8, n: int = 100) -> list[CentrePatients]:
    """Centres in which nothing is wrong."""
    return [CentrePatients(f"C{i}", patients(f"C{i}", n, seed=1)) for i in range(count)]


def monitored(frame: pd.DataFrame, beside: list[CentrePatients] | None = None, **more) -> Monitored:
    """What is said of one centre beside eight others (or those given)."""
    return monitor(CentrePatients("XX01", frame, **more), others() if beside is None else beside)


def signals(found: Monitored) -> dict[tuple[str, str], str]:
    """(check, quantity) -> severity."""
    return {(s.check_name, s.quantity): s.severity for s in found.signals}
