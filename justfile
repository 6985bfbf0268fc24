# Everything CI does is `just test`; the rest is for people.
set shell := ["bash", "-euc"]
bin := env("VIRTUAL_ENV", ".venv") / "bin"

# List the recipes.
default:
    @{{bin}}/just --list

# Make gen/ from protos/.
generate:
    {{bin}}/python hatch_build.py

# Style, types, import rules, contracts and all tests.
test *arguments:
    {{bin}}/pytest -n 2 {{arguments}}

# Mend what the formatters can.
format:
    {{bin}}/ruff check --fix services tests docs hatch_build.py
    {{bin}}/ruff format services tests docs hatch_build.py
    {{bin}}/buf format --write --path protos/muster

# Freeze the contracts as those of a release; later changes must not break them.
baseline:
    {{bin}}/buf build --output tests/contract/baseline.binpb

# Tables in docs/ that are made from the code.
docs:
    {{bin}}/python docs/make_tables.py
