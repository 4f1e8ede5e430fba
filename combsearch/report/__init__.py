"""Pages to look at and to send on: one HTML file each, which asks nothing of any server.

    network_page   a saved network, to be switched off, moved and seen to change
    run_page       a run: every accuracy, the frontier, what is done and left
    comparison_page  pruners beside the bounds
    atlas_page     all masks of a small shape as a map

``page`` puts a page together; what each shows is made by its own module, as plain JSON
values, from saved rows and saved networks only; what draws it lies in ``assets``.
"""
