#!/usr/bin/env bash
# Gradescope runs this once, when it builds the autograder's image.
set -euo pipefail

apt-get update -q
# Where a container may not make namespaces, bubblewrap is of no use and submissions run as
# another user: pytest says which it is.
apt-get install -y -q bubblewrap python3 python3-venv

# The image's Python must be 3.11 or newer: choose Ubuntu 24.04 as the base image.
python3 -m venv /opt/grading
/opt/grading/bin/pip install -q pytest-annmodal

mkdir -p /opt/grading/benchmarks
cat > /opt/grading/benchmarks/test_search.py <<'EOF'
def test_search(ann_benchmark, case):
    ann_benchmark(case)
EOF

# The datasets that the rules name must be here before students' code is.
cd /opt/grading
bin/pytest benchmarks -q -p no:cacheprovider --ann-volume-dir /opt/grading/volume \
    --ann-grade /autograder/source/grading.toml --impl bruteforce --download-only

# The rules, and the journal of grades, are nobody's business but root's.
chmod 700 /autograder/source
