"""What the commands of the command line do; ``cli.py`` only reads their arguments."""
