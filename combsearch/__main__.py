"""``python -m combsearch``."""

from combsearch.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
