"""No statement of the service reads a large table from end to end: with ten million finished tasks
it is as quick as with none.  The statements are taken from the sources, the tables from a service
that has just started, and the plan is SQLite's own."""

import pathlib
import re
import sqlite3

import pytest

SOURCES = pathlib.Path(__file__).parents[2] / "src" / "service"
# These grow with what people do; the others hold a row for each endpoint, person or key.
LARGE = {"tasks", "results", "payloads", "task_groups", "functions"}
# The index that holds unfinished tasks only may be read whole; so may these (a word of theirs: why).
ALLOWED = {
    "state >= 2 AND done_us < ?": "the front of the table, where what is old lies",
    "DELETE FROM task_groups": "the front of the table, where what is old lies",
    "SELECT MAX(id) FROM tasks": "the end of the table, one row",
    ") recent WHERE 1 = 1": "the newest rows, so many and no more",
}

STRING = r'"(?:[^"\\]|\\.)*"'
VERB = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b.*\S\s+\S")


def macros_of(text):
    return dict(re.findall(rf"#define (\w+)[ \t\\\n]+((?:{STRING}|\w+)(?:[\s\\]+(?:{STRING}|\w+))*)\n", text))


def statements():
    """Every run of string literals that begins like a statement, macros of the file filled in."""
    found = {}
    headers = {}
    for path in SOURCES.rglob("*.h"):
        headers.update(macros_of(path.read_text()))
    for path in sorted(SOURCES.rglob("*.c")):
        if path.parent.name == "test":
            continue
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
        macros = headers | macros_of(text)
        body = re.sub(r"#define .*?[^\\]\n", "\n", text, flags=re.S)

        def fill(tokens, depth=0):
            parts = []
            for token in re.findall(rf"{STRING}|\w+", tokens):
                if token.startswith('"'):
                    parts.append(token[1:-1].encode().decode("unicode_escape"))
                elif token in macros and depth < 5:
                    parts.append(fill(macros[token], depth + 1))
            return "".join(parts)

        names = "|".join(macros) or "(?!)"
        for match in re.finditer(rf"(?:{STRING}|\b(?:{names})\b)(?:\s*(?:{STRING}|\b(?:{names})\b))*", body):
            sql = fill(match.group())
            if VERB.match(sql):
                found[" ".join(sql.split())] = f"{path.relative_to(SOURCES)}"
    return found


def filled(sql):
    """What a format string becomes, for the planner's purpose."""
    sql = sql.replace("%lld", "7").replace("%d", "7").replace("IN (%s)", "IN ('a')")
    sql = sql.replace("FROM tasks WHERE %s", "FROM tasks WHERE grp IN ('a') ")
    return sql.replace("AND %s", "AND 1 = 1").replace("%s", "")


# The other dialect's own: they have no plan here.
POSTGRES = re.compile(r"EXTRACT\(|FOR UPDATE|SKIP LOCKED|::|\bpg_")
FOUND = {filled(sql): where for sql, where in statements().items() if not POSTGRES.search(sql)}


@pytest.fixture(scope="module")
def tables(service):
    path = service.folder / "data" / "ledger.db"
    if not path.exists():
        pytest.skip("the service under test keeps its ledger in PostgreSQL")
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    # The service under test has a stand-in for sign-in; its tables are those of the source.
    yield connection
    connection.close()


def aliases(sql):
    """Table names by what the plan calls them."""
    named = {alias: table for table, alias in re.findall(r"\b(?:FROM|JOIN) (\w+)(?: AS)? (\w+)", sql)}
    return {**{t: t for t in LARGE}, **named}


def reads_all(step, names):
    """A plan's step that goes over a large table, or over a range of its ids."""
    found = re.match(r"(SCAN|SEARCH) (\w+)(.*)", step)
    if not found or names.get(found[2]) not in LARGE or "tasks_open" in found[3]:
        return False
    return found[1] == "SCAN" or bool(re.search(r"\((id|task)[<>]", found[3]))


def test_the_sources_have_statements():
    assert len(FOUND) > 80
    assert any("INSERT INTO tasks" in sql for sql in FOUND)


@pytest.mark.parametrize("sql", FOUND, ids=lambda s: re.sub(r"\W+", "-", s)[:60])
def test_no_statement_reads_a_large_table(tables, sql):
    try:
        rows = tables.execute("EXPLAIN QUERY PLAN " + sql, [None] * sql.count("?")).fetchall()
    except sqlite3.OperationalError:  # the program puts it together from pieces
        assert not set(aliases(sql).values()) & LARGE & set(re.findall(r"\w+", sql)), sql
        return
    bad = [row[3] for row in rows if reads_all(row[3], aliases(sql))]
    if bad and not any(words in sql for words in ALLOWED):
        pytest.fail(f"{FOUND[sql]}: {bad} in {sql}")


def test_what_is_allowed_is_still_there():
    for words in ALLOWED:
        assert any(words in sql for sql in FOUND), words
