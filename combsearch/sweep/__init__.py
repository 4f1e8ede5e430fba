"""A sweep: every pruning method at every width and budget, trained and saved in shards."""
