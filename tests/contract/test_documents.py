"""What the documents list is what is there: modules in the code map, sets in the README."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from app.catalog.index import DATASETS

ROOT = Path(__file__).resolve().parents[2]


def test_the_code_map_names_every_module_once() -> None:
    told = Counter(_read_code_map((ROOT / "docs/architecture.md").read_text("utf-8")))
    there = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "app").rglob("*.py")
        if path.name != "__init__.py"
    }
    assert sorted(there - set(told)) == []
    assert sorted(set(told) - there) == []
    assert [path for path, times in told.items() if times > 1] == []


def _read_code_map(page: str) -> Iterator[str]:
    """The modules in the tree; a folder told in one line lists its own behind its name."""
    tree = page.split("## The rooms\n```\n")[1].split("```")[0]
    folders: list[str] = []
    for line in tree.splitlines():
        indent, name = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        if indent < 10:
            folders = [*folders[:indent], name] if name.endswith("/") else folders[:indent]
        if folders[:1] == ["app/"]:
            listed = (
                [name] if name.endswith(".py") and indent < 10 else re.findall(r"\w+\.py", line)
            )
            yield from ("".join(folders) + module for module in listed)


def test_the_readme_names_every_set() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    listed = re.findall(r"[A-Z]\w+", text.split("The sets: ")[1].split("the service document")[0])
    assert {dataset.name for dataset in DATASETS} <= set(listed)
