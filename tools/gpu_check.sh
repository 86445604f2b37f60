#!/usr/bin/env bash
# All that has to be seen on a GPU, in under 6 minutes, with nothing to download: the tests marked
# gpu, the benchmark (engines, eager reference, launches, roofline) and a short training run.
# Needs Python 3.11 or later with torch, numpy, scipy, numba, safetensors, pyyaml, typer, pytest and
# hypothesis; no ROS. Prints JSON at the end, also into the file that is given.
#   tools/gpu_check.sh [result.json]      DATA=cmu.npz for the training run
set -uo pipefail
cd "$(dirname "$0")/.."
result=${1:-gpu_check.json}
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONPATH=$PWD SES_GCN_CACHE=$work/cache NUMBA_CACHE_DIR=$work/numba

# step NAME SECONDS COMMAND…: its output into a file, its exit status and duration kept
step() {
  local name=$1 limit=$2 start=$SECONDS
  shift 2
  timeout "$limit" "$@" >"$work/$name.out" 2>"$work/$name.err"
  echo "$? $((SECONDS - start))" >"$work/$name.status"
  echo "$name: exit status and seconds: $(cat "$work/$name.status")"
  tail -n 3 "$work/$name.out" "$work/$name.err" | cut -c1-300
}

step tests 120 "$python" -m pytest -q -m gpu -p no:cacheprovider test/forecast/test_cuda.py
step bench 150 "$python" -m ses_gcn_ros.cli bench --quick --section gpu --save "$work/bench.json"
# The recipe of motion capture alone, for a few hundred steps.
data=${DATA:-$(ls shared/data/motion/cmu.npz ../shared/data/motion/cmu.npz 2>/dev/null | head -n 1)}
sed -e '/^  after:/d' -e "s/^  steps: .*/  steps: ${STEPS:-300}/" -e 's/^  warm_up: .*/  warm_up: 20/' \
  config/training/sesgcn_cmu.yaml >"$work/short.yaml"
step train 80 "$python" -m ses_gcn_ros.cli train --recipe "$work/short.yaml" --data "$data" \
  --device "${DEVICE:-cuda}" -o "$work/weights.safetensors"

"$python" - "$work" "$result" <<'PYTHON'
import json, pathlib, sys

work, result = pathlib.Path(sys.argv[1]), sys.argv[2]
document = {}
try:
    import torch

    document["torch"] = torch.__version__
    document["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
except ImportError:
    document["torch"] = None
for name in ("tests", "bench", "train"):
    status, seconds = map(int, (work / f"{name}.status").read_text().split())
    said = (work / f"{name}.out").read_text() + (work / f"{name}.err").read_text()
    document[name] = {"status": status, "seconds": seconds, "said": said[-1500:]}
bench = work / "bench.json"
document["benchmark"] = json.loads(bench.read_text()) if bench.exists() else None
pathlib.Path(result).write_text(json.dumps(document, indent=1))
print(json.dumps({k: v for k, v in document.items() if k != "benchmark"}, indent=1))
sys.exit(any(document[name]["status"] for name in ("tests", "bench", "train")))
PYTHON
