# Sourced by every script here: in_venv PACKAGE... runs the Python program on standard input in a new
# virtual environment with these packages, in a temporary folder that is removed afterwards.
# The program asserts what was seen, so the script fails when the behaviour changes.
set -euo pipefail

in_venv() {
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "$@"
    cat > "$folder/program.py"
    cd "$folder"
    PATH="$folder/venv/bin:$PATH" OMP_NUM_THREADS=1 python program.py
}
