"""All contracts of Muster, gathered from the generated code."""

from importlib import import_module
from pathlib import Path

import muster
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet


def descriptor_set() -> FileDescriptorSet:
    """Every file of `muster.*` and every file they import, imports before those who import them."""
    files: dict[str, FileDescriptor] = {}
    for module in sorted(_generated_modules()):
        _add(import_module(module).DESCRIPTOR, files)
    result = FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(result.file.add())
    return result


def _generated_modules() -> list[str]:
    # The generated folders are namespaces, which pkgutil does not walk. The _grpc modules beside hold
    # no contracts, and would load grpc.
    return [
        ".".join(("muster", *file.relative_to(root).with_suffix("").parts))
        for root in muster.__path__
        for file in Path(root).rglob("*_pb2.py")
    ]


def _add(file: FileDescriptor, files: dict[str, FileDescriptor]) -> None:
    if file.name in files:
        return
    for dependency in file.dependencies:
        _add(dependency, files)
    files[file.name] = file
