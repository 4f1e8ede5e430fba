"""A saved network, to be switched off, moved and seen to change; other pages open it too."""
