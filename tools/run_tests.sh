#!/usr/bin/env bash
# Runs the tests in an environment that it sets up first if need be:
#
#     bash tools/run_tests.sh [--full] [any argument of pytest]
#
# --full adds the tests that take minutes. See setup_env.sh for ONEFORMER_VENV.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$(bash "$root/tools/setup_env.sh")
cd "$root"
# Two processes of one thread each: most tests are too small for two threads.
export OMP_NUM_THREADS=1
exec "$python" -m pytest -n 2 --dist loadfile "$@"
