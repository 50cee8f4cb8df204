"""What the program is made of: bill of materials (CycloneDX), third-party notices, known flaws of dependencies.

All follow from the lock file and the installed packages, by the tools that are kept for this: ``cyclonedx-bom``,
``pip-licenses``, ``pip-audit``.
"""

import json
import subprocess
import sys
from pathlib import Path

from capla_etl import paths

BOM, NOTICES = "bom.cdx.json", "THIRD_PARTY_NOTICES.txt"
_LOCK = paths.ROOT / "requirements.lock"
#: How long the service that knows of flaws may take to answer.
_PATIENCE_SECONDS = 300
_NO_STATEMENT = "This says nothing of the dependencies: run it again where that service can be reached."


class AuditImpossible(Exception):
    """The service that knows of flaws was not reached, so nothing is known of them; the message says so."""


def write_materials(folder: Path) -> list[Path]:
    """Write the bill of materials of the lock and the licences of the installed packages; return both files.

    The same lock gives the same bill.
    """
    bom, notices = folder / BOM, folder / NOTICES
    project = ["--pyproject", str(paths.ROOT / "pyproject.toml")]
    form = ["--output-reproducible", "--no-validate", "--of", "JSON", "-o", str(bom)]
    _tool("cyclonedx_py", "requirements", str(_LOCK), *project, *form)
    form = ["--format=plain-vertical", "--from=mixed", "--with-urls", "--with-license-file", "--no-license-path"]
    _tool("piplicenses", *form, f"--output-file={notices}")
    return [bom, notices]


def _tool(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True, capture_output=True, text=True)


def flaws() -> list[str]:
    """Known flaws of the packages in the lock, a line each.

    Raises:
        AuditImpossible: the service did not answer, or not for every package.
    """
    options = ["--requirement", str(_LOCK), "--disable-pip", "--require-hashes", "--progress-spinner=off"]
    command = [sys.executable, "-m", "pip_audit", *options, "--format=json", "--timeout=15"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS)
        packages = json.loads(ran.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        raise AuditImpossible(f"the service for known flaws (pypi.org) gave no answer. {_NO_STATEMENT}") from None
    if skipped := [package["name"] for package in packages if "skip_reason" in package]:
        some = f"{len(skipped)} of {len(packages)} packages ({', '.join(skipped[:5])}, ...)"
        raise AuditImpossible(f"the service for known flaws (pypi.org) did not know {some}. {_NO_STATEMENT}")
    return [
        f"{package['name']} {package['version']}: {flaw['id']}"
        + (f", mended in {', '.join(flaw['fix_versions'])}" if flaw["fix_versions"] else ", not mended yet")
        for package in packages
        for flaw in package["vulns"]
    ]
