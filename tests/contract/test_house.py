"""The house rules hold: style, types, who imports whom, contracts; each by the tool made for it."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PYTHON_FOLDERS = ("services", "tests", "docs", "hatch_build.py")

CHECKS = {
    "ruff check": [BIN / "ruff", "check", *PYTHON_FOLDERS],
    "ruff format": [BIN / "ruff", "format", "--check", *PYTHON_FOLDERS],
    "mypy --strict": [BIN / "mypy"],
    "import-linter": [BIN / "lint-imports"],
    "buf lint": [BIN / "buf", "lint"],
    "buf format": [BIN / "buf", "format", "--diff", "--exit-code", "--path", "protos/muster"],
    "hadolint": [BIN / "hadolint", "deploy/Dockerfile"],
    "compose schema": [
        BIN / "check-jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        "deploy/compose.yaml",
    ],
    "buf breaking": [BIN / "buf", "breaking", "--against", "tests/contract/baseline.binpb"],
}


@pytest.mark.parametrize("name", CHECKS)
def test_house_rule(name: str) -> None:
    """`tests/contract/baseline.binpb` is the contracts' image of the last release: `just baseline` writes it."""
    done = subprocess.run(CHECKS[name], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{name}:\n{done.stdout}\n{done.stderr}"


def test_every_pure_module_is_held_to_be_pure() -> None:
    """import-linter takes no patterns, so its list could fall behind the files it is about."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (pure,) = (
        contract["source_modules"]
        for contract in config["tool"]["importlinter"]["contracts"]
        if contract["name"].startswith("Use cases, models")
    )
    files = (
        path
        for pattern in ("model*.py", "usecases*.py", "store.py")
        for path in ROOT.glob(f"services/*/muster_*/{pattern}")
    )
    assert {f"{path.parent.name}.{path.stem}" for path in files} - set(pure) == set()


def test_a_breaking_change_is_seen(tmp_path: Path) -> None:
    """The gate is not an ornament: a field that changes its number is refused."""
    for name in ("buf.yaml", "protos"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    contract = tmp_path / "protos/muster/session/v1/session.proto"
    text = contract.read_text()
    assert "string join_code = 6;" in text
    contract.write_text(text.replace("string join_code = 6;", "string join_code = 66;"))
    baseline = ROOT / "tests/contract/baseline.binpb"
    done = subprocess.run(
        [BIN / "buf", "breaking", "--against", baseline],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "join_code" in done.stdout
