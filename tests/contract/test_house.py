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
}


@pytest.mark.parametrize("name", CHECKS)
def test_house_rule(name: str) -> None:
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


def test_no_contract_breaks_those_of_the_last_release(tmp_path: Path) -> None:
    """`tests/contract/baseline.binpb` is their image: `just baseline` writes it when a release is made."""
    done = _compare(ROOT, tmp_path / "now.binpb")
    assert done.returncode == 0, done.stdout


def test_a_breaking_change_is_seen(tmp_path: Path) -> None:
    """The gate is not an ornament: a field that changes its number is refused."""
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    contract = tmp_path / "protos/muster/session/v1/session.proto"
    text = contract.read_text()
    assert "string join_code = 6;" in text
    contract.write_text(text.replace("string join_code = 6;", "string join_code = 66;"))
    done = _compare(tmp_path, tmp_path / "now.binpb")
    assert done.returncode != 0
    assert "join_code" in done.stdout


def _compare(workspace: Path, image: Path) -> subprocess.CompletedProcess[str]:
    # Image with image: buf does not compare a workspace of two modules with one image.
    subprocess.run([BIN / "buf", "build", "--output", image], cwd=workspace, check=True)
    contract = ROOT / "tests" / "contract"
    command = [BIN / "buf", "breaking", image, "--against", contract / "baseline.binpb"]
    command += ["--config", contract / "breaking.yaml"]
    return subprocess.run(command, capture_output=True, text=True, check=False)
