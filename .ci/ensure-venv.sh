#!/bin/sh
# Makes .venv with pip inside, unless a working one is there. PYTHON names the interpreter (3.11 or newer).
set -eu

PYTHON=${PYTHON:-python3}
here=$(dirname "$0")

.venv/bin/python -m pip --version >/dev/null 2>&1 && exit 0

if ! "$PYTHON" -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then
    echo "Python 3.11 or newer is needed, $PYTHON is not. Name another one: make PYTHON=python3.12 …" >&2
    exit 1
fi
"$here/ensure-packages.sh" venv
"$PYTHON" -m venv --clear .venv
