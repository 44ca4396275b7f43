# /// script
# dependencies = ["annoy>=1.17", "numpy"]
# [tool.annmodal]
# metrics = ["euclidean", "angular"]
# build.n_trees = 20
# search.search_k = [400, 2000]
# ///
"""annoy with its index in a file that is mapped, as a service has it after a restart.

Of docs/measurement.md: `--ann-cold` drops the file from the page cache.
"""

import tempfile

import annoy


class AnnoyMapped:
    def __init__(self, metric, n_trees):
        self.metric, self.n_trees = metric, n_trees

    def fit(self, X):
        index = annoy.AnnoyIndex(X.shape[1], self.metric)
        index.set_seed(1)
        for number, row in enumerate(X):
            index.add_item(number, row)
        index.build(self.n_trees, n_jobs=1)
        self.folder = tempfile.TemporaryDirectory(prefix="annoy-")
        index.save(f"{self.folder.name}/index.ann")
        self.index = annoy.AnnoyIndex(X.shape[1], self.metric)
        self.index.load(f"{self.folder.name}/index.ann")

    def set_query_arguments(self, search_k):
        self.search_k = search_k

    def query(self, v, k):
        return self.index.get_nns_by_vector(v, k, self.search_k)
