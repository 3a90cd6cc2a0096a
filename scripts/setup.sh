#!/bin/sh
# Make .venv hold what a lock file names, and this project; do nothing where it does already.
#
# usage: scripts/setup.sh [LOCK]     LOCK is requirements.lock, or requirements-bench.lock for the benches too
set -eu

cd "$(dirname "$0")/.."
lock=${1:-requirements.lock}
venv=.venv
oldest=11 # Python 3.11
newest=14 # Python 3.14: the newest for which every locked package has a wheel

say() { printf '%s\n' "$*" >&2; }

give_up() {
    say ""
    say "setup: $*"
    exit 1
}

# The console's scripts and styles are bundled by installing.
fingerprint() {
    { cat "$1" pyproject.toml scripts/setup.sh && bundled | xargs -0 cat; } | sha256sum | cut -d ' ' -f 1
}

bundled() { find . -maxdepth 3 \( -path ./hatch_build.py -o -path './frontend/*.*' -o -path './frontend/src/*' \) -not -path '*/node_modules/*' -type f -print0 | sort -z; }

# What the benches need is enough for everything else.
is_ready() {
    [ -x $venv/bin/python ] && [ -f $venv/ready ] || return 1
    ready=$(cat $venv/ready)
    [ "$ready" = "$(fingerprint "$lock")" ] || [ "$ready" = "$(fingerprint requirements-bench.lock)" ]
}

# Scripts in a virtual environment name its interpreter by an absolute path.
has_moved() { [ -f $venv/place ] && [ "$(cat $venv/place)" != "$(pwd)" ]; }

fits() {
    "$1" -c "import sys; sys.exit(not (3, $oldest) <= sys.version_info[:2] <= (3, $newest))" 2>/dev/null
}

find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v $name >/dev/null && fits $name; then
            command -v $name
            return
        fi
    done
    return 1
}

no_python() {
    found=$(python3 --version 2>/dev/null) || found="no python3"
    give_up "Ocelog needs Python 3.$oldest to 3.$newest; this machine has $found.
On Debian 12 or later, or Ubuntu 24.04 or later, type
    sudo apt-get install python3 python3-venv
elsewhere install uv, which brings a Python of its own, and start again."
}

# Debian and Ubuntu cut ensurepip out of python3: a venv cannot have pip until python3-venv is installed.
has_ensurepip() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

need_ensurepip() {
    has_ensurepip "$1" && return
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "setup: $1 cannot make a venv with pip; installing $package"
        export DEBIAN_FRONTEND=noninteractive
        apt-get install -y -qq "$package" >&2 || { apt-get update -qq >&2 && apt-get install -y -qq "$package" >&2; } || true
        has_ensurepip "$1" && return
    fi
    give_up "$1 cannot make a virtual environment: ensurepip is missing. Type
    sudo apt-get install $package
and start again. (Or install uv: it needs neither.)"
}

with_pip() {
    if ! fits $venv/bin/python; then
        python=$(find_python) || no_python
        need_ensurepip "$python"
        say "setup: making $venv with $python"
        "$python" -m venv --clear $venv
    elif ! $venv/bin/python -m pip --version >/dev/null 2>&1; then
        need_ensurepip $venv/bin/python
        $venv/bin/python -m ensurepip >/dev/null
    fi
    say "setup: installing what $lock names"
    $venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock" &&
        $venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
}

with_uv() {
    fits $venv/bin/python || uv venv --quiet --clear --python ">=3.$oldest,<3.$((newest + 1))" $venv || return 1
    say "setup: installing what $lock names, with uv"
    uv pip install --quiet --compile-bytecode --python $venv/bin/python --require-hashes -r "$lock" &&
        uv pip install --quiet --python $venv/bin/python --no-deps --no-build-isolation -e .
}

if has_moved; then rm -rf $venv; fi
is_ready && exit
rm -f $venv/ready
if ! command -v uv >/dev/null || ! with_uv; then
    # uv reads its own settings and not pip's, so an index that only pip knows of is still worth a try.
    with_pip || give_up "the packages could not be installed; the reason stands above.
If a package index cannot be reached, name a mirror and start again: of PyPI in
PIP_INDEX_URL, of npm (which the console is built with) in npm_config_registry."
fi
# Each command that is started would compile all it imports again, where Python may not write what it compiled.
$venv/bin/python -m compileall -q src
pwd >$venv/place
fingerprint "$lock" >$venv/ready
