# /// script
# dependencies = ["zvec>=0.8"]
#
# [tool.annmodal]
# class = "Zvec"
# metrics = ["euclidean", "angular", "dot"]
# build = { m = 16, ef_construction = 100 }
# search = { ef = [10, 30, 100] }
# short-answers = "ef"
# effective = { ef = "max(ef, k)" }
# ///
"""zvec: HNSW in a database that lives in a folder.

Two builds differ, and no seed can be given.
"""

import os
import tempfile

import numpy as np
import zvec

METRICS = {  # named, since zvec takes the inner product where none is
    "euclidean": zvec.MetricType.L2,
    "angular": zvec.MetricType.COSINE,
    "dot": zvec.MetricType.IP,
}
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
# Once in a process. Some 25 threads are there all the same; a build keeps one core busy with one.
zvec.init(query_threads=THREADS, optimize_threads=THREADS, log_level=zvec.LogLevel.ERROR)


class Zvec:
    def __init__(self, metric, m=16, ef_construction=100):
        self.settings = zvec.HnswIndexParam(
            metric_type=METRICS[metric], m=m, ef_construction=ef_construction
        )
        self.set_query_arguments(10)

    def fit(self, X):
        self.folder = tempfile.TemporaryDirectory()
        path = self.folder.name + "/rows"
        column = zvec.VectorSchema(
            "row", zvec.DataType.VECTOR_FP32, X.shape[1], index_param=self.settings
        )
        rows = zvec.create_and_open(path, zvec.CollectionSchema(name="rows", vectors=column))
        for start in range(0, len(X), 1000):  # it takes 1024 at once
            piece = enumerate(X[start : start + 1000], start)
            rows.insert([zvec.Doc(id=str(row), vectors={"row": x}) for row, x in piece])
        rows.optimize(zvec.OptimizeOption(concurrency=THREADS))  # before this there is no graph
        rows.close()
        # The quick way to ask is for readers only, and answers with numbers of zvec's own.
        self.index = zvec.open(path, zvec.CollectionOption(read_only=True))
        self.row_of = np.array(self.index.resolve_internal_ids(np.arange(len(X))), dtype=np.int64)

    def set_query_arguments(self, ef):
        self.search = zvec.HnswQueryParam(ef=ef)

    def query(self, v, k):
        asked = zvec.Query("row", vector=v, param=self.search)
        ids, scores = self.index.query_internal_ids(asked, topk=k, return_scores=True)
        return self.row_of[ids[~np.isnan(scores)]]  # what was not found is -1 with NaN
