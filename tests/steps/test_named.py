"""What a step depends on by name: each change of it runs the step again, in the next program; nothing else does."""

import importlib.util
import itertools
import textwrap

import pytest

from lazytrack import Project, pipeline, step

SAME = [
    ("a comment", "def helper(x):\n    return x\n", "def helper(x):\n    return x  # a comment\n", "helper(x)"),
    ("what is not named", "unused = 1\n", "unused = 2\n", "x"),
    ("what the step sets", "count = 0\n", "count = 5\n", "(globals().update(count=1), x)[1]"),
    ("the order of a set", "allowed = {'b', 'a'}\n", "allowed = {'a', 'b'}\n", "x if 'a' in allowed else 0"),
]
CHANGED = [
    ("a number", "rate = 1\n", "rate = 2\n", "x * rate"),
    ("its type", "rate = 1\n", "rate = 1.0\n", "x * rate"),
    ("a text", "said = 'a at 0x1'\n", "said = 'a at 0x1222'\n", "x + len(said)"),
    (
        "a text in the code of a helper",
        "def h():\n    return len('at 0x1')\n",
        "def h():\n    return len('at 0x12')\n",
        "x + h()",
    ),
    ("a dict of settings", "P = {'C': 0.5}\n", "P = {'C': 0.9}\n", "x * P['C']"),
    ("a list in it", "P = {'C': [1, 2]}\n", "P = {'C': [1, 3]}\n", "x * P['C'][1]"),
    ("a function of functions", "M = {'a': lambda: 1}\n", "M = {'a': lambda: 2}\n", "x * M['a']()"),
    ("what a lambda is given", "f = lambda x, n=1: x * n\n", "f = lambda x, n=2: x * n\n", "f(x)"),
    (
        "a helper of a helper",
        "def a(x):\n    return b(x)\ndef b(x):\n    return x\n",
        "def a(x):\n    return b(x)\ndef b(x):\n    return -x\n",
        "a(x)",
    ),
    (
        "helpers that call each other",
        "def a(x):\n    return b(x - 1) if x > 3 else x\ndef b(x):\n    return a(x)\n",
        "def a(x):\n    return b(x - 1) if x > 3 else x\ndef b(x):\n    return a(x) + 1\n",
        "a(x + 5)",
    ),
    (
        "a factory's variable",
        "def make(n):\n    def h(x):\n        return x * n\n    return h\nh = make(2)\n",
        "def make(n):\n    def h(x):\n        return x * n\n    return h\nh = make(3)\n",
        "h(x)",
    ),
    (
        "a factory's function",
        "import math\ndef make(f):\n    def h(x):\n        return f(x + 3)\n    return h\nh = make(math.sqrt)\n",
        "import math\ndef make(f):\n    def h(x):\n        return f(x + 3)\n    return h\nh = make(math.exp)\n",
        "h(x)",
    ),
    (
        "a partial",
        "from functools import partial\ndef k(x, m):\n    return x * m\nh = partial(k, m=2)\n",
        "from functools import partial\ndef k(x, m):\n    return x * m\nh = partial(k, m=3)\n",
        "h(x)",
    ),
    (
        "a decorator of a helper",
        "import functools\ndef d(f):\n    @functools.wraps(f)\n    def w(x):\n        return f(x) + 1\n    return w\n@d\ndef h(x):\n    return x\n",
        "import functools\ndef d(f):\n    @functools.wraps(f)\n    def w(x):\n        return f(x) + 2\n    return w\n@d\ndef h(x):\n    return x\n",
        "h(x)",
    ),
    (
        "what a decorator is given",
        "import functools\ndef d(n):\n    def deco(f):\n        @functools.wraps(f)\n        def w(x):\n            return f(x) * n\n        return w\n    return deco\n@d(1)\ndef h(x):\n    return x\n",
        "import functools\ndef d(n):\n    def deco(f):\n        @functools.wraps(f)\n        def w(x):\n            return f(x) * n\n        return w\n    return deco\n@d(9)\ndef h(x):\n    return x\n",
        "h(x)",
    ),
    (
        "one of two helpers of one decorator",
        "def d(f):\n    def fn(x):\n        return f(x)\n    return fn\n@d\ndef g(x):\n    return x\n@d\ndef h(x):\n    return x\n",
        "def d(f):\n    def fn(x):\n        return f(x)\n    return fn\n@d\ndef g(x):\n    return x\n@d\ndef h(x):\n    return -x\n",
        "g(x) + h(x)",
    ),
    (
        "a cached helper",
        "import functools\n@functools.lru_cache\ndef h(x):\n    return x\n",
        "import functools\n@functools.lru_cache\ndef h(x):\n    return -x\n",
        "h(x)",
    ),
    (
        "a base class",
        "class B:\n    def f(self, x):\n        return x + 1\nclass E(B):\n    pass\n",
        "class B:\n    def f(self, x):\n        return x + 9\nclass E(B):\n    pass\n",
        "E().f(x)",
    ),
    (
        "an enum",
        "import enum\nclass C(enum.Enum):\n    k = 1\n",
        "import enum\nclass C(enum.Enum):\n    k = 9\n",
        "x + C.k.value",
    ),
    ("a class's list", "class E:\n    W = [1]\n", "class E:\n    W = [2]\n", "x + E.W[0]"),
    (
        "a property",
        "class E:\n    @property\n    def p(self):\n        return 1\n",
        "class E:\n    @property\n    def p(self):\n        return 2\n",
        "x + E().p",
    ),
    (
        "a class method",
        "class E:\n    @classmethod\n    def p(cls):\n        return 1\n",
        "class E:\n    @classmethod\n    def p(cls):\n        return 2\n",
        "x + E.p()",
    ),
    (
        "a class in a class",
        "class E:\n    class I:\n        n = 1\n",
        "class E:\n    class I:\n        n = 2\n",
        "x + E.I.n",
    ),
    (
        "an instance",
        "class E:\n    def f(self):\n        return 1\ne = E()\n",
        "class E:\n    def f(self):\n        return 2\ne = E()\n",
        "x + e.f()",
    ),
    (
        "an instance's attribute",
        "class E:\n    def __init__(self, n):\n        self.n = n\ne = E(1)\n",
        "class E:\n    def __init__(self, n):\n        self.n = n\ne = E(2)\n",
        "x + e.n",
    ),
    ("an imported function", "from math import floor as f\n", "from math import ceil as f\n", "f(x + 0.5)"),
    (
        "what singledispatch knows",
        "import functools\n@functools.singledispatch\ndef h(x):\n    return 0\n@h.register\ndef _(x: int):\n    return x\n",
        "import functools\n@functools.singledispatch\ndef h(x):\n    return 0\n@h.register\ndef _(x: int):\n    return -x\n",
        "h(x)",
    ),
    (
        "a step that is called in one",
        "@step\ndef other(x: int) -> int:\n    return x\n",
        "@step\ndef other(x: int) -> int:\n    return -x\n",
        "other(x)",
    ),
    (
        "its parameters",
        "@step(parameters={'n': 1})\ndef other(x: int, n: int) -> int:\n    return x * n\n",
        "@step(parameters={'n': 2})\ndef other(x: int, n: int) -> int:\n    return x * n\n",
        "other(x)",
    ),
]


@pytest.fixture
def program(tmp_path):
    """Runs a program with a step that returns this, and tells the status of the step, and what it returned."""
    numbers = itertools.count()

    def run(before, returns, above=""):
        text = f"from lazytrack import pipeline, step\n{before}\n@step\n{above}def made(x: int) -> object:\n    return {returns}\n"
        path = tmp_path / f"version{next(numbers)}.py"
        path.write_text(text + "@pipeline\ndef whole():\n    made(1)\n")
        spec = importlib.util.spec_from_file_location("steps_of_a_user", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        made = module.whole().get_step("made")
        return str(made.status), made.output.read(), made

    with Project(tmp_path / "shop"):
        yield run


@pytest.mark.parametrize(
    ("before", "after", "returns"), [case[1:] for case in CHANGED], ids=[case[0] for case in CHANGED]
)
def test_a_change_of_what_a_step_names_runs_it_again(before, after, returns, program):
    assert program(before, returns)[0] == "completed"
    assert program(before, returns)[0] == "cached"
    status, _, made = program(after, returns)
    assert status == "completed"
    reasons = made.explain_cache().reasons
    assert reasons
    assert [reason for reason in reasons if "which the step names" not in reason] == []


@pytest.mark.parametrize(("before", "after", "returns"), [case[1:] for case in SAME], ids=[case[0] for case in SAME])
def test_a_change_of_anything_else_does_not(before, after, returns, program):
    assert program(before, returns)[0] == "completed"
    assert program(after, returns)[0] == "cached"


def test_a_decorator_below_the_steps_own_is_code_too(program):
    decorators = """
        import functools

        def scaled(n):
            def decorate(function):
                @functools.wraps(function)
                def wrapper(x):
                    return function(x) * n
                return wrapper
            return decorate
    """
    before = textwrap.dedent(decorators)
    assert program(before, "x", "@scaled(2)\n")[:2] == ("completed", 2)
    assert program(before, "x", "@scaled(2)\n")[:2] == ("cached", 2)
    assert program(before, "x", "@scaled(3)\n")[:2] == ("completed", 3)
    assert program(before.replace("* n", "+ n"), "x", "@scaled(3)\n")[:2] == ("completed", 4)


def test_what_runs_counts_where_the_text_has_been_edited_since(tmp_path):
    path = tmp_path / "edited.py"
    text = """
        from lazytrack import pipeline
        from lazytrack.steps import BaseStep

        class Made(BaseStep):
            def entrypoint(self, x: int) -> int:
                return x * 1

        @pipeline
        def whole():
            Made()(2)
    """

    def load():
        spec = importlib.util.spec_from_file_location("edited", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    path.write_text(textwrap.dedent(text))
    with Project(tmp_path / "shop"):
        module = load()
        path.write_text(textwrap.dedent(text).replace("* 1", "* 20"))
        assert module.whole().get_step("Made").output.read() == 2
        run = load().whole()
    assert run.get_step("Made").output.read() == 40


seen: list[int] = []


def test_a_list_that_the_step_changes_is_no_other_one_in_this_program(tmp_path):
    @step
    def noted(x: int) -> int:
        seen.append(x)
        return len(seen)

    @pipeline
    def whole():
        noted(1)

    with Project(tmp_path / "shop"):
        assert [whole().get_step("noted").output.read() for _ in range(3)] == [1, 1, 1]
    assert seen == [1]
