#!/usr/bin/env bash
# Evaluate under Slurm: slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS change what srun asks for.
set -euo pipefail

if [ $# -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]" >&2
    exit 2
fi
gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-8}

# SRUN_ARGS holds several words.
# shellcheck disable=SC2086
exec srun --partition="$1" \
    --job-name="$2" \
    --gres=gpu:"$gpus_per_node" \
    --ntasks="$gpus" \
    --ntasks-per-node="$gpus_per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/test.py" "$3" "$4" --launcher slurm "${@:5}"
