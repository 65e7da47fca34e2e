"""The reference page says what the code does."""

from pydantic.alias_generators import to_camel

from platforms.handoff import Handoff
from tools import reference


def test_the_committed_page_is_what_the_code_generates():
    assert reference.PAGE.read_text() == reference.page(), "run: python -m tools.reference"


def test_every_setting_and_every_output_has_a_meaning():
    lines = [line for line in reference.page().splitlines() if line.startswith("| `")]

    assert [line for line in lines if line.endswith("|  |")] == []


def test_every_output_is_on_the_page():
    page = reference.page()

    assert [f for f in Handoff.__annotations__ if f"| `{to_camel(f)}` |" not in page] == []
