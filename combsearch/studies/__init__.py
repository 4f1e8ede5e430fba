"""Side studies: each takes the question of another paper to the trainers and pruners below.

``pq_index``    how compressible a vector of weights is, by its PQ index and by Gini's
``sap``         how many of its entries must stay by that, and how many SAP prunes
``magnitudes``  what both compute from
"""
