"""The PQ-index study: networks pruned round by round, and how compressible they stay.

"Pruning Deep Neural Networks from a Sparsity Perspective" (ICLR 2023): SAP, one-shot pruning
and the lottery ticket, of one vector of all weights, one a layer or one a neuron.

``config``      what is trained
``chains``      the methods, settings and scopes of a configuration
``plan``        the task, the network, the shards and the identity of a run
``rounds``      one round of all chains of a seed: train, measure, prune
``measure``     PQ index, SAP's bound and Gini index of trained networks, whole and by layer
``checkpoint``  what survives an interruption within a round
``work``        the same as work on a shard of a run folder, and the order of the shards
``table``       means over seeds
"""
