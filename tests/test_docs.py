"""What the pages name is there: links, anchors, commands, options, make targets, files, modules, names in Python."""

import ast
import builtins
import re
from importlib import import_module
from itertools import chain

import click
import pytest
from support.pages import COMMANDS, NOT_RUN, PAGES, ROOT, blocks_of, command_of, every_command, prose_of

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`]+)`")
HEADING = re.compile(r"^#+ (.+)$", flags=re.MULTILINE)
FILE = re.compile(r"\b(?:[\w-]+/)*[\w-]+\.(?:py|jinja|md|json|svg)\b")
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
OPTIONS_OF_OTHERS = {"--nthreads": "dask", "--import-mode": "pytest", "--doctest-modules": "pytest", "--help": "all"}
FILES_OF_OTHERS = {
    **dict.fromkeys(("recipe.json", "run.json", "manifest.json", "facts.json", "speed.json", "report.json"), "a store"),
    **dict.fromkeys(("report.md", "audit.json"), "a store"),
    **dict.fromkeys(("export.json", "demijohn.json", "predict.py"), "an export"),
    "conf.json": "fsspec",
    "preprocessing.py": "the source of EfficientNet-Lite",
}
"""Files that the pages name and that are no part of the repository, and of what they are."""
NAMED = {page: CODE.findall(" ".join(prose_of(page).split())) for page in PAGES}
"""Inline code, by page."""
PYTHON = [(page, block.text) for page in PAGES for block in blocks_of(page) if block.language == "python"]


def links_of(page: str) -> list[str]:
    """Return where a page leads, addresses in the web left out."""
    return [target for target in LINK.findall(prose_of(page)) if not re.match(r"https?://", target)]


def anchors_of(page: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in HEADING.findall(prose_of(page))}


@pytest.mark.parametrize("page", PAGES)
def test_links_and_anchors_resolve(page: str) -> None:
    for target in links_of(page):
        name, _, anchor = target.partition("#")
        path = (PAGES[page].parent / name).resolve() if name else PAGES[page]
        assert path.exists(), f"{page} leads to {target}, which is not there"
        if anchor:
            found = anchors_of(path.relative_to(ROOT).as_posix())
            assert anchor in found, f"{page} leads to {target}: expected one of {', '.join(sorted(found))}"


def test_every_page_can_be_reached() -> None:
    reached = {(PAGES[page].parent / target.partition("#")[0]).resolve() for page in PAGES for target in links_of(page)}
    lost = [page for page, path in PAGES.items() if page.startswith("docs/") and path.resolve() not in reached]
    assert not lost, f"no page leads to {', '.join(lost)}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_are_shown_have_their_options(page: str) -> None:
    """Whether they are run or not, and whatever the language of the block."""
    for line in chain(*(block.text.splitlines() for block in blocks_of(page)), NAMED[page]):
        words = line.split()
        if words and words[0] in COMMANDS:
            command, rest = command_of(words)
            known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
            for option in OPTION.findall(" ".join(rest)):
                assert option in known | {"--help", "--version"}, f"{page}: {line}: there is no {option}"


@pytest.mark.parametrize("page", PAGES)
def test_options_that_are_named_exist(page: str) -> None:
    """In a command, or in the script of benchmarks/ that they stand beside."""
    options = [each for command in every_command() for each in command.params if isinstance(each, click.Option)]
    known = {name for each in options for name in (*each.opts, *each.secondary_opts)} | set(OPTIONS_OF_OTHERS)
    for text in NAMED[page]:
        script = re.search(r"\bbenchmarks/\w+\.py", text)
        own = set(OPTION.findall((ROOT / script[0]).read_text())) if script else set()
        for option in OPTION.findall(text):
            assert option in known | own, f"{page}: `{text}`: nothing has {option}"


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_that_are_named_exist(page: str) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert {text.split()[1] for text in NAMED[page] if text.startswith("make ")} <= set(targets)


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    """By their path in the repository or in a top folder; those of a folder that was named also by their name alone."""
    folders = ("pipeline", "cache", "models", "benchmarks", "docs")
    names = {path.name for folder in folders for path in (ROOT / folder).rglob("*")} | set(FILES_OF_OTHERS)
    for name in chain.from_iterable(map(FILE.findall, NAMED[page])):
        known = name in names or name.rpartition("/")[2] in FILES_OF_OTHERS
        known = known or any((ROOT / folder / name).exists() for folder in ("", *folders))
        assert known, f"{page} names {name}, which is not there"


@pytest.mark.parametrize("page", PAGES)
def test_names_in_python_that_are_given_in_full_exist(page: str) -> None:
    for text in NAMED[page]:
        for module, name in re.findall(r"\bdemijohn\.((?:pipeline|cache|models)(?:\.[a-z_]+)?)\.(\w+)", text):
            assert hasattr(import_module(f"demijohn.{module}"), name), f"{page}: `{text}`: {module} has no {name}"


@pytest.mark.parametrize(("page", "text"), PYTHON, ids=[page for page, _ in PYTHON])
def test_python_that_is_shown_imports_what_it_uses(page: str, text: str) -> None:
    nodes = list(ast.walk(ast.parse(text)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    aliases = [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    bound |= {(alias.asname or alias.name).partition(".")[0] for alias in aliases}
    assert {node.id for node in names} <= bound | set(dir(builtins)), page


def test_pages_that_modules_name_exist() -> None:
    for folder in ("pipeline", "cache", "models", "benchmarks", "demo"):
        for path in [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.jinja")]:
            for name in re.findall(r"\bdocs/[\w./-]+\.md\b", path.read_text()):
                assert (ROOT / name).exists(), f"{path.relative_to(ROOT)} names {name}"


def test_modules_in_the_drawing_are_in_their_folders() -> None:
    drawing = (ROOT / "docs" / "figures" / "architecture.svg").read_text()
    for folder, inside in re.findall(r'<g id="(\w+)">(.*?)</g>', drawing, flags=re.DOTALL):
        room = ROOT / folder
        for kind, name in re.findall(r'class="([mr])"[^>]*>(\w+)/?<', inside):
            if kind == "r":
                room = ROOT / folder / name
                assert room.is_dir(), f"there is no {folder}/{name}"
            else:
                assert (room / f"{name}.py").exists(), f"there is no {room.relative_to(ROOT)}/{name}.py"


def test_what_is_not_run_is_still_shown() -> None:
    blocks = [block.text for page in PAGES for block in blocks_of(page)]
    lines = [*blocks, *chain.from_iterable(map(str.splitlines, blocks))]
    for start in NOT_RUN:
        assert any(line.startswith(start) for line in lines), f"no page shows {start}"


def test_one_word_for_one_idea() -> None:
    """What docs/glossary.md says is not used is neither in a page, nor in a help text, nor in a module."""
    glossary = PAGES["docs/glossary.md"].read_text()
    table = glossary[glossary.index("| not | but |") :].splitlines()[2:]
    words = [word.strip() for line in table for word in line.split("|")[1].split(",")]
    assert "embedding" in words
    folders = ("docs", "pipeline", "cache", "models", "tests/pipeline/help")
    texts = [ROOT / "README.md", *(path for folder in folders for path in (ROOT / folder).glob("**/*.*"))]
    for path in texts:
        if path.suffix in (".md", ".txt", ".py", ".jinja") and path != PAGES["docs/glossary.md"]:
            for found in re.finditer(rf"\b({'|'.join(words)})s?\b", path.read_text().replace("\n", " ")):
                raise AssertionError(f"{path.relative_to(ROOT)} says {found[0]}: see docs/glossary.md")
