"""Progress of a run, one line a step, and what the closing lines need."""

import time
from collections import defaultdict

from capla_etl import paths
from capla_etl.releases.versions import current

STARTED = time.monotonic()


#: Stages in the order of the data flow, and how the names of their steps begin.
STAGES = {
    "environment": (),
    "imports": (),
    "centres": ("centre__",),
    "monitoring": ("monitoring",),
    "harmonised": ("harmonised",),
    "dbt": ("dbt",),
    "expectations": ("expectations_",),
    "statistics": ("study__", "outcomes__"),
    "report": ("report__",),
    "queries": ("quality__", "queries__"),
    "publish": ("published__",),
    "orchestration": (),
}


def _stage(step: str) -> str:
    return next(name for name, prefixes in STAGES.items() if step.startswith(prefixes))


class Progress:
    """Prints one line a step while Dagster runs, and keeps what the closing lines need."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.failures: list[str] = []
        self.refused: list[str] = []
        self.signals: dict[str, list[str]] = defaultdict(list)
        self._started: dict[str, float] = {}
        self._seen: dict[str, list] = defaultdict(list)

    def line(self, stage: str, text: str) -> None:
        print(f"[{time.monotonic() - STARTED:6.1f} s] {stage:<13} {text}", flush=True)

    def __call__(self, entry) -> None:
        """One Dagster event."""
        event = entry.dagster_event
        if event is None or event.step_key is None:
            return
        step, kind = event.step_key, event.event_type_value
        if kind == "STEP_START":
            self._started[step] = time.monotonic()
        elif kind in ("ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION"):
            self._seen[step].append(event)
            if kind == "ASSET_CHECK_EVALUATION":
                self._refused(event.asset_check_evaluation_data)
        elif kind in ("STEP_SUCCESS", "STEP_FAILURE"):
            self.seconds[_stage(step)] += time.monotonic() - self._started[step]
            failed = kind == "STEP_FAILURE"
            self.line(_stage(step), f"{step.split('__')[-1]}: {'FAILED' if failed else self._summary(step)}")
            if failed:
                self.failures.append(self._blocked(step) or _reason(step, event.step_failure_data))

    def _refused(self, check) -> None:
        """A centre whose newest submission is not in the study, or that monitoring doubts: its check says why."""
        if check.asset_key.path[0] != "centre" or check.passed:
            return
        if check.check_name == "accepted":
            said = check.metadata["problems"].value if "problems" in check.metadata else check.description
            self.refused.append(f"{check.asset_key.path[1]}: {check.description}\n{said}")
        elif "signals" in check.metadata:
            self.signals[check.asset_key.path[1]].append(check.metadata["signals"].value)

    def result(self, status: int) -> dict:
        """What a machine wants to know of the run."""
        published = not self.failures and bool(self._started)
        places = {
            "warehouse": paths.published_database(),
            "report": paths.report(),
            "outputs": paths.outputs(),
            "data_docs": paths.data_docs(),
        }
        return {
            "status": status,
            "published": published,
            "version": current().name if published else None,
            "seconds": {stage: round(seconds, 1) for stage, seconds in self.seconds.items()},
            "failures": self.failures,
            "without_newest_submission": self.refused,
            "signals": dict(self.signals),
            "places": {name: str(place) for name, place in places.items()} if published else {},
        }

    @property
    def started(self) -> int:
        """How many steps were started."""
        return len(self._started)

    def _summary(self, step: str) -> str:
        """What a step did, from what its assets and checks say of themselves."""
        tables = [
            e.step_materialization_data.materialization.metadata
            for e in self._seen[step]
            if e.event_type_value == "ASSET_MATERIALIZATION"
        ]
        checks = self._checks(step)
        said = [m["summary"].value for m in tables if "summary" in m]
        if said:
            return "; ".join(said)
        parts = []
        if tables:
            rows = sum(m["dagster/row_count"].value for m in tables if "dagster/row_count" in m)
            parts.append(f"{len(tables)} tables, {rows:,} rows" if len(tables) > 1 else f"{rows:,} rows")
        if checks:
            failed = [c for c in checks if not c.passed]
            errors = sum(c.severity.value == "ERROR" for c in failed)
            parts.append(f"{len(checks)} checks, {errors} failed, {len(failed) - errors} with warnings")
        return "; ".join(parts) or "done"

    def _checks(self, step: str) -> list:
        return [
            e.asset_check_evaluation_data for e in self._seen[step] if e.event_type_value == "ASSET_CHECK_EVALUATION"
        ]

    def _blocked(self, step: str) -> str:
        """What failed expectations say, where they are the reason; Data Docs and the UI list the failing rows."""
        errors = [
            c
            for c in self._checks(step)
            if not c.passed and c.severity.value == "ERROR" and "what failed" in c.metadata
        ]
        return "\n\n".join(
            f"{'.'.join(c.asset_key.path)}: {c.description}\n{c.metadata['what failed'].value}" for c in errors
        )


def _reason(step: str, failure) -> str:
    """Why a step failed: the message written for people where there is one, else the error without its trace."""
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error.cause or failure.error
    return f"{step.replace('__', ' ')}: {error.message.strip()}"
