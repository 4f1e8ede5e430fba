"""When a script that trains whole rounds has to stop."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Says when to stop.

    Attributes:
        seconds: that there are.
        began: when they began, of ``time.monotonic``.
        each: seconds that the last round took a network, if any was trained.
        last: seconds that it took.
    """

    seconds: float
    began: float = field(default_factory=time.monotonic)
    each: float = 0.0
    last: float = 0.0

    def note(self, seconds: float, networks: int) -> None:
        """A round of so many networks took so long."""
        self.each, self.last = seconds / networks, seconds

    def over(self, networks: int) -> bool:
        """Whether a round of so many networks that is begun now may come too late.

        More networks take at most so much more time, fewer perhaps no less.
        """
        left = self.seconds - (time.monotonic() - self.began)
        return self.last > 0 and left < 1.1 * max(self.last, self.each * networks)
