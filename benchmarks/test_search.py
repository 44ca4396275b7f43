"""Recall and latency of every implementation on every dataset.

    pytest benchmarks/                                     what is installed, on small data
    pytest benchmarks/ --impl hnswlib --impl 'faiss-*'     some of it
    pytest benchmarks/ --dataset my_vectors.hdf5           your own data
    pytest benchmarks/ --submission=my_index.py            your own index
    pytest benchmarks/ --modal                             in the cloud, all at once

Copy this file: ``case`` is one implementation with one setting on one dataset, and
``ann_benchmark(case)`` measures it, and returns what it measured. It passes whatever the figures
are; what they must be, k and rounds can be set in a marker:
``@pytest.mark.ann(k=10, min_recall=0.9, max_p95_ms=5)``.
"""


def test_search(ann_benchmark, case):
    ann_benchmark(case)
