#!/usr/bin/env bash
# Makes sure of a Python environment with the tested versions, and prints the
# path of its interpreter (all that goes to standard output):
#
#     python=$(bash tools/setup_env.sh) || exit 1
#     "$python" tools/train.py ...
#
# ONEFORMER_VENV  where the environment is or shall be (default: .venv)
# PYTHON          the interpreter to build it with (default: the first of
#                 python3.11, python3.12, python3.10, python3 that will do)
#
# An environment that fits is used as it is. A torch that is there already, in
# the environment or with the interpreter, is kept; to keep that of an active
# virtual environment, set ONEFORMER_VENV=$VIRTUAL_ENV. Failures end with one
# line; what pip said is in oneformer-setup.log inside the environment.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${ONEFORMER_VENV:-$root/.venv}
[[ $venv == /* ]] || venv=$PWD/$venv
python=$venv/bin/python
stamp=$venv/oneformer-setup.stamp
made=$venv/oneformer-setup.made
log=$venv/oneformer-setup.log
constraints=$venv/oneformer-constraints.txt
supported='Python 3.10, 3.11 or 3.12'
# The last two: with an index that does not answer, pip finds no version.
download_errors='connection ?(reset|refused|error|aborted|broken)|timed out'
download_errors+='|name resolution|name or service|unreachable|ProxyError'
download_errors+='|SSLError|IncompleteRead|ProtocolError|HTTP ?Error'
download_errors+='|No matching distribution|ResolutionImpossible'

say() { printf 'oneformer: %s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

check_env() { "$1" "$root/tools/check_env.py" "${@:2}" 2>/dev/null; }

in_range() {
  "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' \
    >/dev/null 2>&1
}

# A virtual environment hands nothing on to those made with its interpreter.
has_torch() {
  "$1" -c 'import sys; sys.exit(sys.prefix != sys.base_prefix)' &&
    check_env "$1" --torch >/dev/null
}

can_make_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

no_venv_module() {
  fail "$1 cannot make virtual environments: install its venv module (on" \
    "Debian or Ubuntu: apt install python3-venv), or set PYTHON to another" \
    "$supported"
}

# Sets $base to the interpreter to build with: one that has torch, if any has.
choose_base() {
  local candidate found=() without_venv=
  if [[ -n ${PYTHON:-} ]]; then
    found=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])' \
      2>/dev/null) || fail "PYTHON=$PYTHON does not start: set it to a $supported"
    in_range "$PYTHON" ||
      fail "PYTHON=$PYTHON is Python $found: set it to a $supported"
    can_make_venv "$PYTHON" || no_venv_module "$PYTHON"
    base=$PYTHON
    return
  fi
  for candidate in python3.11 python3.12 python3.10 python3; do
    in_range "$candidate" || continue
    if can_make_venv "$candidate"; then
      found+=("$candidate")
    else
      without_venv=$candidate
    fi
  done
  if [[ ${#found[@]} == 0 ]]; then
    [[ -z $without_venv ]] || no_venv_module "$without_venv"
    fail "no $supported was found: install one, or name one with PYTHON=/path/to/python"
  fi
  base=${found[0]}
  for candidate in "${found[@]}"; do
    if has_torch "$candidate"; then
      base=$candidate
      return
    fi
  done
}

make_venv() {
  local options=() output
  choose_base
  say "building the environment $venv with $base (several minutes, once)"
  if has_torch "$base"; then
    options+=(--system-site-packages)
  fi
  # Only a folder with this mark is ever emptied, here, to begin again.
  output=$({ find "$venv" -mindepth 1 -delete && touch "$made" &&
    "$base" -m venv "${options[@]}" "$venv"; } 2>&1) ||
    fail_for "$output" "$base could not make the environment $venv"
}

disk_is_full() {
  local free
  free=$(df -Pk "$venv" 2>/dev/null | awk 'NR == 2 { print $4 }')
  [[ -n $free && $free -lt 65536 ]] || grep -qiE 'no space left|disk quota' <<<"$1"
}

# Ends with the line that fits the output $1 of a failed command; $2 says what
# was being done.
fail_for() {
  local last
  if disk_is_full "$1"; then
    fail "$2: the disk is full. Free about 8 GB there and in" \
      "${TMPDIR:-/tmp}, or set ONEFORMER_VENV and TMPDIR to a larger disk"
  elif grep -qiE "$download_errors" <<<"$1"; then
    fail "$2: a download failed. Check the network and pip's settings" \
      "(index, proxy), then run this again: it goes on where it stopped"
  fi
  last=$(grep -E 'ERROR|rror:' <<<"$1" | tail -n 1)
  [[ -n $last ]] || last=$(tail -n 1 <<<"$1")
  fail "$2: ${last:-no message}"
}

pip_install() {
  local start=0
  [[ ! -f $log ]] || start=$(wc -l <"$log")
  "$python" -m pip install --disable-pip-version-check --no-input \
    --progress-bar off -c "$constraints" "$@" >>"$log" 2>&1 </dev/null ||
    fail_for "$(tail -n "+$((start + 1))" "$log")" \
      "pip could not install the packages (see $log)"
}

# A torch that this script installed itself follows the pins.
torch_is_ours() {
  [[ -f $made ]] &&
    ! grep -qi 'include-system-site-packages *= *true' "$venv/pyvenv.cfg"
}

install() {
  local kept pins=$root/requirements/tested.txt
  rm -f "$stamp"
  say "installing the packages listed in setup.cfg into $venv"
  if ! torch_is_ours && kept=$(check_env "$python" --torch); then
    { grep -vE '^torch(vision)?=' "$pins" && echo "$kept"; } >"$constraints"
  else
    cp "$pins" "$constraints"
  fi && "$python" "$root/tools/check_env.py" --requirements \
    >"$venv/oneformer-requirements.txt" ||
    fail_for 'is it read-only?' "$venv could not be written to"
  # Under one name pip caches an mmcv compiled for another torch, too.
  pip_install --no-cache-dir --no-deps onedl-mmcv
  pip_install -r "$venv/oneformer-requirements.txt"
  # panopticapi-lite asks for numpy 1 and runs on numpy 2; cityscapesScripts
  # asks for an old stand-in for typing and a GUI. The headless OpenCV
  # shares its files with the other one: the last to be installed counts, and
  # this one does without the libraries of a desktop.
  pip_install --no-deps --force-reinstall panopticapi-lite \
    cityscapesScripts pyquaternion opencv-python-headless
}

prepare() {
  local problem
  if [[ -d $venv && -n $(ls -A "$venv") && ! -f $made ]]; then
    # Somebody else's: use it if it fits, and add to it if not.
    in_range "$python" || fail "$venv holds no working $supported: choose" \
      "another place with ONEFORMER_VENV"
    check_env "$python" --seal "$stamp" >/dev/null && return
  elif ! { in_range "$python" && "$python" -c 'import pip' 2>/dev/null; }; then
    make_venv
  fi
  install
  problem=$("$python" "$root/tools/check_env.py" --seal "$stamp" 2>&1) ||
    fail "the environment does not work: $(tail -n 1 <<<"$problem")." \
      "Remove $venv and run this again"
  say "the environment is ready"
}

if ! { [[ -f $stamp ]] && check_env "$python" --sealed "$stamp" >/dev/null; }; then
  mkdir -p "$venv" || fail "cannot make $venv: choose another place with ONEFORMER_VENV"
  exec 9<"$venv"
  if command -v flock >/dev/null; then
    flock 9  # two runs at once: the second one finds the work done
  fi
  check_env "$python" --sealed "$stamp" >/dev/null 2>&1 || prepare
fi
printf '%s\n' "$python"
