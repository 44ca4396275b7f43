"""One job: load the dataset, ask a worker, score its answers."""
