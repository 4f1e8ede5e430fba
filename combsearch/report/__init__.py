"""Pages to look at and to send on: one HTML file each, which asks nothing of any server.

    network      a saved network, to be switched off, moved and seen to change
    run          a run: every accuracy, the frontier, what is done and left
    comparison   pruners beside the bounds
    atlas        all masks of a small shape as a map
    live         a run's page, served while the run goes on

``page`` puts a page together. What each shows is made by its package, as plain JSON values,
from saved rows and saved networks only; what draws it lies in ``assets``, in a folder of the
same name.
"""
