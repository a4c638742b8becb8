#!/usr/bin/env bash
# Expected: `zensical build --clean` removes the site of the last build, or the generator's own cache.
# Seen:     it empties the whole folder `.cache` beside the configuration. Files that other tools keep there are deleted,
#           silently and with exit code 0. Without --clean the folder stays. The way out is a copy of the pages elsewhere.
# Versions: zensical 0.0.73 (PyPI).
# Source:   the output below was seen by running this file; `zensical build --help` says "Clean cache."
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip install --disable-pip-version-check --quiet zensical==0.0.73
mkdir -p docs .cache/other-tool
printf '# Hello\n' > docs/index.md
printf '[project]\nsite_name = "Example"\n' > zensical.toml
printf 'kept by another tool\n' > .cache/other-tool/index
look() { [ -e .cache/other-tool/index ] && echo "the other tool's file is there" || echo "the other tool's file is gone"; }
{
  venv/bin/zensical build > log 2>&1; echo "build: exit $?"; look
  venv/bin/zensical build --clean > log 2>&1; echo "build --clean: exit $?"; look
} | tee seen
diff -u - seen <<'O'
build: exit 0
the other tool's file is there
build --clean: exit 0
the other tool's file is gone
O
