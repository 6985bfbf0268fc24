"""Make gen/ from protos/ with grpcio-tools whenever the package is built or installed."""

import shutil
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GenerateContracts(BuildHookInterface):
    """Runs protoc over every contract, and over the vendored validation rules they import."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 — hatch's signature
        """Write gen/ anew; raises RuntimeError when protoc finds a fault."""
        if self.target_name == "sdist":
            return
        generate(Path(self.root))


def generate(root: Path) -> None:
    """Generate Python code and type stubs from `root`/protos into `root`/gen."""
    import grpc_tools
    from grpc_tools import protoc

    gen = root / "gen"
    shutil.rmtree(gen, ignore_errors=True)
    gen.mkdir()
    protos, vendor = root / "protos", root / "protos" / "vendor"
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    files = sorted(str(p.relative_to(protos)) for p in (protos / "muster").rglob("*.proto"))
    files += sorted(str(p.relative_to(vendor)) for p in vendor.rglob("*.proto"))
    arguments = [f"-I{protos}", f"-I{vendor}", f"-I{well_known}"]
    arguments += [f"--{kind}_out={gen}" for kind in ("python", "pyi", "grpc_python")]
    code = protoc.main(["protoc", *arguments, *files])
    if code:
        raise RuntimeError(f"protoc ended with {code}")
    for stub in gen.rglob("*_pb2_grpc.py"):
        # Files without a service get an empty module that nothing imports.
        if "class " not in stub.read_text():
            stub.unlink()


if __name__ == "__main__":
    generate(Path(__file__).parent)
    sys.exit(0)
