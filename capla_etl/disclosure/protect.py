"""A profile applied to the study's results and curves."""

from collections.abc import Sequence

import pandas as pd

from capla_etl.disclosure.profiles import profile
from capla_etl.disclosure.protected_curves import protect_curve
from capla_etl.disclosure.protected_results import Publication, protect_results


def apply(
    name: str, results: pd.DataFrame, curves: dict[str, pd.DataFrame], earlier: Sequence[Publication] = ()
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """``study.result`` and the curves as a profile shows them.

    Args:
        name: the profile.
        results: ``study.result``, whole.
        curves: ``survival_curve`` and ``response_incidence_curve`` by these names.
        earlier: what was published before under this profile.

    Returns:
        Both in the same shape; as they are for ``journal``.

    Raises:
        ValueError: an unknown profile or curve.
    """
    chosen = profile(name)
    if chosen.protection is None:
        return results, curves
    return protect_results(results, chosen, earlier), {
        key: protect_curve(key, curve, chosen.protection) for key, curve in curves.items()
    }
