#!/usr/bin/env bash
# Proves the bundled GPT on each engine that pip can install, kills a worker in the middle, and verifies the proofs.
#
#   deploy/test.sh target/release/nanozk
set -euo pipefail
nanozk=$(realpath "${1:?usage: deploy/test.sh NANOZK}")
here=$(cd "$(dirname "$0")" && pwd)
model=$here/../onnx-models/kjvgpt-d64-l4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

bash -n "$here/slurm.sh"
if command -v shellcheck >/dev/null; then shellcheck "$here"/*.sh; fi
python3 "$here/check_manifest.py" "$here/kubernetes.yaml"

"$nanozk" compile "$model/network.onnx" --data "$model/input.json" -o "$work/m.nanozk" --json >/dev/null
"$nanozk" setup "$work/m.nanozk" -o "$work/keys" --json >/dev/null
# Three prompts, so that there is a middle to kill in.
python3 - "$model/input.json" "$work/prompts.jsonl" <<'PYTHON'
import json, sys
source = json.load(open(sys.argv[1]))
with open(sys.argv[2], "w") as out:
    for turn in range(3):
        tokens = source["input_data"][0]
        print(json.dumps({"input_data": [tokens[turn:] + tokens[:turn]]}), file=out)
PYTHON

# A run that SLURM's script proves, an array task at a time.
run() {
    local name=$1
    shift
    "$nanozk" jobs split "$work/keys" --input "$work/prompts.jsonl" -o "$work/$name" --json >/dev/null
    "$@" "$work/$name"
    "$nanozk" jobs join "$work/$name" -o "$work/$name.proofs" --json >/dev/null
    for proof in "$work/$name.proofs"/*.nanozk; do
        "$nanozk" verify "$work/keys/verifier.nanozk" "$proof" --json >/dev/null
    done
    echo "$name: $(find "$work/$name.proofs" -name '*.nanozk' | wc -l) proofs verified"
}
slurm() {
    for task in $(seq 0 17); do
        NANOZK=$nanozk SLURM_ARRAY_TASK_ID=$task SLURM_CPUS_PER_TASK=2 bash "$here/slurm.sh" "$1" >/dev/null
    done
}
run slurm slurm

# Engines are installed aside, unless they are here already.
engine() {
    local module=$1 python=python3
    shift
    if ! python3 -c "import $module" 2>/dev/null; then
        python3 -m venv "$work/$module.venv" 2>/dev/null && python="$work/$module.venv/bin/python"
        if ! "$python" -m pip install --quiet "$module" 2>/dev/null || ! "$python" -c "import $module" 2>/dev/null; then
            echo "skipped: $module (pip cannot install it)"
            return
        fi
    fi
    run "$module" "$python" "$here/$1" --nanozk "$nanozk" --workers 2 --kill
}
engine hyperqueue on_hyperqueue.py
engine ray on_ray.py
