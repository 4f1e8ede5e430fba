#!/usr/bin/env bash
# The beam search of `combsearch descend` with a large beam, in pieces that end in time.
#
#     results/gpu/descend.sh 0.995 2048 FOLDER [MINUTES [STATE]]
#
# It is the plain command, so the machine needs what combsearch needs: numba, llvmlite, scipy and
# pyarrow beside PyTorch and numpy, and a GPU to be quick (`--trainer auto` takes it). What a
# piece leaves goes to FOLDER as NAME.tar.gz.aa, .ab, ... of 15 MB; the next piece, here or on
# another machine, is given that folder as STATE and goes on. Exit codes: 0 done, 75 run it
# again with STATE, 2 something is missing.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "descend.sh: give TARGET BEAM FOLDER [MINUTES [STATE]], such as 0.995 2048 out" >&2
    exit 2
fi
target=$1 beam=$2 folder=$3 minutes=${4:-9} state=${5:-}
name=descend-$target-beam-$beam
shapes=8x2x3,7x1x3,7x3x3,6x3x2,6x4x3,6x2x3,5x3x2,4x4x2,4x2x3,4x2x2
cd "$(dirname "$0")/../.."
export PYTHONPATH=$PWD OMP_NUM_THREADS=1

for module in torch numpy numba llvmlite scipy pyarrow; do
    if ! python3 -c "import $module" 2>/dev/null; then
        echo "descend.sh: python3 here has no $module, which combsearch descend needs" >&2
        exit 2
    fi
done
mkdir -p "$folder" runs
if [ -n "$state" ] && ls "$state/$name".tar.gz.* >/dev/null 2>&1; then
    cat "$state/$name".tar.gz.* | tar -xz -C runs
fi

code=0
timeout --preserve-status -s TERM "$(awk "BEGIN { print 60 * $minutes }")" \
    python3 -m combsearch descend --target "$target" --beam "$beam" --restarts 1024 \
    --shapes "$shapes" --run "$name" --no-figures || code=$?
if [ -d "runs/$name" ]; then
    # Aside first: what an earlier piece left, maybe in more parts, is not replaced by half of a new one.
    rm -f "$folder/.new-$name".*
    tar -cz -C runs "$name" | split -b 15m - "$folder/.new-$name."
    rm -f "$folder/$name".tar.gz.*
    for part in "$folder/.new-$name".*; do
        mv "$part" "$folder/$name.tar.gz.${part##*.}"
    done
fi
exit "$code"
