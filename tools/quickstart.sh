#!/usr/bin/env bash
# From nothing to a trained model, on a small data set made on the spot:
#
#     bash tools/quickstart.sh
#
# Sets up the environment (see setup_env.sh for ONEFORMER_VENV), makes the data
# set `shapes`, trains one model once, evaluates it on all three tasks and draws
# pictures. Run again, it goes on where it was stopped.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
python=$(bash tools/setup_env.sh)

config=configs/shapes/oneformer_r18_1xb8-1200_shapes-128x128.py
work_dir=work_dirs/quickstart
pictures=$work_dir/pictures

step() { printf '\n== %s\n' "$*"; }

step 'making the data set (data/shapes)'
"$python" tools/dataset_converters/shapes.py data/shapes

step "training ($work_dir)"
"$python" tools/train.py "$config" --work-dir "$work_dir" --resume
checkpoint=$(cat "$work_dir/last_checkpoint")

step 'evaluating panoptic, instance and semantic segmentation'
"$python" tools/test.py "$config" "$checkpoint" --work-dir "$work_dir/test" |
  tee "$work_dir/evaluation.txt"

step 'drawing predictions and training curves'
"$python" tools/analysis_tools/draw_predictions.py "$config" "$checkpoint" \
  --out "$pictures" --num 6
"$python" tools/analysis_tools/plot_training.py "$work_dir" \
  --out "$pictures/training.png"

printf '\n'
tail -n 1 "$work_dir/evaluation.txt"
ls "$pictures"/*.png
