"""All contracts of Muster, gathered from the generated code."""

import pkgutil
from importlib import import_module

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
    found = pkgutil.walk_packages(muster.__path__, "muster.")
    # The _grpc modules hold no contracts, and would load grpc.
    return [module.name for module in found if module.name.endswith("_pb2")]


def _add(file: FileDescriptor, files: dict[str, FileDescriptor]) -> None:
    if file.name in files:
        return
    for dependency in file.dependencies:
        _add(dependency, files)
    files[file.name] = file
