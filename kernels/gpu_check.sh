#!/bin/sh
# Checks and measures the trainers on a GPU, in under eight minutes, from a checkout: no installation,
# nothing but PyTorch with CUDA, numpy and CUDA's compiler. Arguments are those of
# `combsearch bench --gpu`: --quick, --json, --parts correctness,vmap,speed,search, -o FILE.
#
#   sh kernels/gpu_check.sh
#
# The report goes to $OUT, if that is set, else to results/gpu. PYTHON names another python3.
set -eu
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
python="${PYTHON:-python3}"
"$python" -c 'import numpy, torch' 2>/dev/null || {
    echo "gpu_check: '$python' has no PyTorch and numpy; name one that has: PYTHON=/path/to/python3" >&2
    exit 2
}
# Compiled kernels stay in the folder of this machine's user unless COMBSEARCH_CACHE says otherwise.
exec timeout 570 "$python" -m combsearch bench --gpu -o "${OUT:-results/gpu}" "$@"
