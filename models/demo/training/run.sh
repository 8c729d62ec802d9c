#!/bin/sh
# From nothing to models/demo: speech, tokenizer, training, export. Resumes wherever it was stopped.
# FROM=.. goes on from the committed weights instead of starting anew.
set -eu
cd "$(dirname "$0")"
work=${WORK:-../../../build/demo-model}
minutes=${MINUTES:-240}
mkdir -p "$work"
[ -x "$work/venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet -r requirements.txt
run="$work/venv/bin/python"
if [ -n "${FROM:-}" ] && [ ! -f "$work/checkpoint.pt" ]; then "$run" warm_start.py "$FROM" "$work"; fi
[ -f "$work/tokenizer.json" ] || "$run" vocabulary.py "$work/tokenizer.json"
nice -n 10 "$run" synthesize.py "$work/short" --kind short --count 18000 --seed 1
nice -n 10 "$run" synthesize.py "$work/full" --kind full --count 92000 --seed 2
nice -n 10 "$run" train.py "$work" --minutes "$minutes" --budget-seconds 80 --threads "$(nproc)"
"$run" export.py "$work" ..
