"""Sparsity of weights as arrays: how compressible they are, and what a round of pruning does.

It stands below ``baselines`` and ``studies``, since pruners and studies prune by the same rounds.

``pq_index``    how compressible a vector of weights is, by its PQ index and by Gini's
``sap``         how many of its entries must stay by that, and how many SAP prunes
``magnitudes``  what both compute from
``rules``       how many entries of each vector a round prunes: SAP's, or a fixed share
``rounds``      which ones: one round for many networks, over all weights, by layer or neuron
"""
