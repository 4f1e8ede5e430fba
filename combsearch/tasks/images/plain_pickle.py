"""Read data out of a pickle without running anything that it says.

A pickle is a program for a stack machine, and Python's own machine imports and calls
whatever the program names. This one knows the instructions that data are made of and no
others. It imports nothing: the few names that numpy writes for an array stand for
placeholders (``pickled_array``), every other name is refused. What comes out is made of
numbers, text, bytes, None, booleans, lists, tuples, dictionaries with keys of text, bytes or
whole numbers, and numeric arrays.

Lengths that a pickle promises cost nothing: values are cut from the bytes that are there,
an array must have exactly the bytes that its shape asks for, the memo holds what was put
there whatever its number, and there are at most ``MOST_STEPS`` instructions.

The instructions are those of Python's ``pickletools``, protocols 0 to 5.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from combsearch.tasks.images.pickled_array import NAMES, Array, Dtype, Name, call

MOST_STEPS = 5_000_000
"""Instructions of a pickle; the largest batch of CIFAR has some hundred thousand."""


class _Mark:
    """Where the items of a list, tuple or dictionary begin."""


def plain_pickle(data: bytes) -> Any:
    """What the pickle ``data`` holds; see the module.

    Raises:
        ValueError: it holds or does anything else, or is damaged; says what, and where.
    """
    machine, at = _Machine(), 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of escapes in damaged text
            for step, (code, argument, position) in enumerate(pickletools.genops(data)):
                at = position or 0
                if step >= MOST_STEPS:
                    raise ValueError(f"more than {MOST_STEPS:,} instructions")
                machine.do(code.name, argument)
        return machine.result()
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"byte {at:,} of the pickle: {reason[:200]}") from error


class _Machine:
    """A stack and a memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:
        """Take one step."""
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _MAKERS:
            self.stack.append(_MAKERS[name]())
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in _IGNORED:
            raise ValueError(
                f"the instruction {name}; numbers, text, lists, dictionaries and arrays need none"
            )

    def result(self) -> Any:
        """The one value that is left, its arrays in place of their placeholders."""
        if len(self.stack) != 1:
            raise ValueError(f"it leaves {len(self.stack)} values, expected one")
        root = [self.stack[0]]
        _put_arrays(root)
        return root[0]

    def pop(self) -> Any:
        if not self.stack or isinstance(self.stack[-1], _Mark):
            raise ValueError("a value is missing")
        return self.stack.pop()

    def pop_many(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def pop_to_mark(self) -> list[Any]:
        items = []
        while self.stack and not isinstance(self.stack[-1], _Mark):
            items.append(self.stack.pop())
        if not self.stack:
            raise ValueError("a mark is missing")
        self.stack.pop()
        return items[::-1]

    def put(self, index: int) -> None:
        value = self.pop()
        self.memo[index] = value
        self.stack.append(value)

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise ValueError(f"nothing is remembered at {index}")
        self.stack.append(self.memo[index])

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1] if self.stack else None
        if not isinstance(target, list):
            raise ValueError("a list is missing")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1] if self.stack else None
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("a dictionary, or the value of a key, is missing")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, bytes, int):
                raise ValueError(f"a key of type {type(key).__name__}")
            target[key] = value

    def new_dict(self) -> None:
        items = self.pop_to_mark()
        self.stack.append({})
        self.set_items(items)

    def name(self, text: str) -> None:
        if text not in NAMES:
            shown = text.replace(" ", ".", 1)[:80]
            raise ValueError(f"it names {shown!r}, nothing but numpy's arrays may be named")
        self.stack.append(Name(NAMES[text]))

    def stack_name(self) -> None:
        parts = self.pop_many(2)
        if not all(isinstance(part, str) for part in parts):
            raise ValueError("a name that is no text")
        self.name(" ".join(parts))

    def reduce(self) -> None:
        self.stack.append(call(*self.pop_many(2)))

    def build(self) -> None:
        state = self.pop()
        target = self.stack[-1] if self.stack else None
        if not isinstance(target, Array | Dtype):
            raise ValueError("it sets the state of something that is no array")
        target.set_state(state)


def _put_arrays(root: list[Any]) -> None:
    """Replace the placeholders in ``root`` and all that hangs from it, without recursion."""
    pending: list[Any] = [root]
    seen = set()
    while pending:
        item = pending.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict | list):
            places = list(item.items()) if isinstance(item, dict) else list(enumerate(item))
            for place, held in places:
                item[place] = _value(held)
            pending.extend(held for _, held in places if isinstance(held, dict | list | tuple))
        elif isinstance(item, tuple):
            if any(isinstance(held, Array) for held in item):
                raise ValueError("an array in a tuple")
            pending.extend(_value(held) for held in item)


def _value(held: Any) -> Any:
    """``held``, or the array whose placeholder it is; no other placeholder may be left."""
    if isinstance(held, Name | Dtype):
        raise ValueError("a name or dtype in place of a value")
    if not isinstance(held, Array):
        return held
    if held.filled is None:
        raise ValueError("an array without its bytes")
    return held.filled


_VALUES = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BYTEARRAY8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    )
)
_MAKERS: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {
        "NONE": lambda: None,
        "NEWTRUE": lambda: True,
        "NEWFALSE": lambda: False,
        "EMPTY_LIST": list,
        "EMPTY_DICT": dict,
        "EMPTY_TUPLE": tuple,
        "MARK": _Mark,
    }
)
_IGNORED = frozenset(("PROTO", "FRAME", "STOP"))
_STEPS: Mapping[str, Callable[[_Machine, Any], object]] = MappingProxyType(
    {
        "LIST": lambda m, _: m.stack.append(m.pop_to_mark()),
        "TUPLE": lambda m, _: m.stack.append(tuple(m.pop_to_mark())),
        "TUPLE1": lambda m, _: m.stack.append(tuple(m.pop_many(1))),
        "TUPLE2": lambda m, _: m.stack.append(tuple(m.pop_many(2))),
        "TUPLE3": lambda m, _: m.stack.append(tuple(m.pop_many(3))),
        "DICT": lambda m, _: m.new_dict(),
        "APPEND": lambda m, _: m.extend(m.pop_many(1)),
        "APPENDS": lambda m, _: m.extend(m.pop_to_mark()),
        "SETITEM": lambda m, _: m.set_items(m.pop_many(2)),
        "SETITEMS": lambda m, _: m.set_items(m.pop_to_mark()),
        "POP": lambda m, _: m.pop(),
        "PUT": lambda m, index: m.put(index),
        "BINPUT": lambda m, index: m.put(index),
        "LONG_BINPUT": lambda m, index: m.put(index),
        "MEMOIZE": lambda m, _: m.put(len(m.memo)),
        "GET": lambda m, index: m.get(index),
        "BINGET": lambda m, index: m.get(index),
        "LONG_BINGET": lambda m, index: m.get(index),
        "GLOBAL": lambda m, text: m.name(text),
        "STACK_GLOBAL": lambda m, _: m.stack_name(),
        "REDUCE": lambda m, _: m.reduce(),
        "BUILD": lambda m, _: m.build(),
    }
)
