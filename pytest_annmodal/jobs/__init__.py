"""One job: load the dataset, send a worker its queries, score the answers."""
