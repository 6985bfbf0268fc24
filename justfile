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

# Break everything that may break, at full length, and print what was measured; docs/reliability.md.
chaos rounds="20" *arguments:
    CHAOS_ROUNDS={{rounds}} {{bin}}/pytest tests/chaos {{arguments}}

# Measure on this machine, each figure against another of the same run; `just bench --help`. Needs Go.
bench *arguments:
    {{bin}}/python -m tests.bench {{arguments}}

# Install ghz, the load tool of the profiles in deploy/ghz, into ~/go/bin. Needs Go.
ghz-install:
    @command -v go >/dev/null || { echo "ghz is a Go program: install Go, and put go on the PATH." >&2; exit 1; }
    go install github.com/bojand/ghz/cmd/ghz@v0.120.0

# Run profiles of deploy/ghz, all by default, on what `muster seed --ghz deploy/ghz/data` prepared.
ghz *profiles:
    @test -f deploy/ghz/data/tokens.env || { echo "First: muster up, and muster seed --ghz deploy/ghz/data" >&2; exit 1; }
    @set -a; source deploy/ghz/data/tokens.env; \
    ghz="$(command -v ghz || echo "$(go env GOPATH)/bin/ghz")"; \
    for name in {{ if profiles == "" { "join-session submit-response list-entries watch-session batch-submit-scores stream-submit-scores" } else { profiles } }}; do \
        "$ghz" --config "deploy/ghz/$name.json"; \
    done
