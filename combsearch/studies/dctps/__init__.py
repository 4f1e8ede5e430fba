"""The study of DCT plus sparse: how far a fixed dense transform carries very sparse networks.

Price and Tanner 2021, "Dense for the Price of Sparse": layers alpha DCT(x) + S x, beside plain
sparse networks of the same budgets.

``config``    what is trained
``methods``   the names of methods: a transform or none, and how the mask is made
``plan``      the task with its validation points, the networks, and who the run is
``training``  one network: its mask, its training, interrupted or not, and its row
``work``      the same as work on a shard of a run folder
``table``     means over seeds
"""
