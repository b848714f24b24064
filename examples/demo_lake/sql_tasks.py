# ruff: noqa: E501, SIM905 - tables of prose read best as one entry a line
"""SQL tasks: a question over a small filled schema, the query, and the rows it returns as JSON text."""

import json
import random
import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from examples.demo_lake.rows import Row, RowMaker, spin


class Subject(NamedTuple):
    """What a table is about: its rows' noun, and the name, group, amount and size columns with their values."""

    table: str
    noun: str
    names: str
    group: str
    groups: str
    amount: str
    size: str


SUBJECTS = (
    Subject("employees", "employee", "Abel Birgit Carlos Dana Emil Fatou Gina Henk", "department", "sales finance logistics support", "salary", "age"),
    Subject("books", "book", "Tidal Nightfall Compass Orchard Signal Ferry Winter Atlas", "genre", "mystery poetry travel history", "price", "pages"),
    Subject("ships", "ship", "Aurora Borealis Comet Dolphin Eagle Falcon Gull Heron", "harbour", "Osterby Lunden Talvik Corvale", "cargo", "crew"),
    Subject("crops", "crop", "barley oats rye maize flax millet spelt lentil", "region", "north south east west", "yield_kg", "hectares"),
    Subject("flights", "flight", "LM101 LM117 LM204 LM260 LM305 LM342 LM418 LM477", "origin", "Redmoor Fenwick Harlow Marsden", "fare", "seats"),
    Subject("paintings", "painting", "Dawn Harvest Regatta Stillness Market Ridge Lantern Echo", "style", "baroque cubist realist abstract", "valuation", "width_cm"),
    Subject("patients", "patient", "Ada Boris Clara Denis Elke Floris Greta Hakim", "ward", "cardiology surgery pediatrics neurology", "bill", "days"),
    Subject("courses", "course", "Algebra Botany Ceramics Drama Ethics French Geology Hebrew", "campus", "river hill old harbour", "fee", "students"),
    Subject("machines", "machine", "lathe press drill mill saw welder router plotter", "hall", "alpha beta gamma delta", "upkeep", "hours"),
    Subject("players", "player", "Ilya Jonna Kees Livia Marek Nour Oskar Paloma", "team", "Comets Rovers Tigers Storks", "wage", "goals"),
    Subject("recipes", "recipe", "chowder dumplings goulash paella ramen risotto stew tagine", "cuisine", "coastal alpine desert island", "cost", "minutes"),
    Subject("trees", "tree", "alder birch cedar elm fir hazel larch maple", "park", "Ashcombe Quillan Brindle Pinehurst", "height_cm", "years"),
    Subject("vehicles", "vehicle", "van tram lorry coupe minibus tractor scooter limousine", "depot", "central airport river suburb", "mileage", "wheels"),
    Subject("films", "film", "Gravel Mirage Saltwater Undertow Vertigo Wildfire Yonder Zenith", "studio", "Lumen Parallax Obscura Vista", "budget", "runtime"),
)  # fmt: skip


class Query(NamedTuple):
    """A kind of question with its query; slots are filled from the subject and drawn numbers."""

    question: str
    query: str


QUERIES = (
    Query("How many {noun} [records|rows] [belong to|are in] {group} {g}?", "SELECT COUNT(*) FROM {table} WHERE {group} = '{g}'"),
    Query("[What is the|Find the|Give me the] average {amount} [per|for every|of each] {group}, [sorted|ordered] by {group}?", "SELECT {group}, AVG({amount}) FROM {table} GROUP BY {group} ORDER BY {group}"),
    Query("List the {names} of each {noun} whose {amount} is [over|greater than] {a}, [highest|largest] {amount} first.", "SELECT name FROM {table} WHERE {amount} > {a} ORDER BY {amount} DESC, name"),
    Query("[Which are the|Show the] {l} {noun} names with the smallest {size}? [Break ties|Where equal, order] by name.", "SELECT name FROM {table} ORDER BY {size}, name LIMIT {l}"),
    Query("What is the total {amount} of all entries with {size} between {s} and {s2} [inclusive|both included]?", "SELECT SUM({amount}) FROM {table} WHERE {size} BETWEEN {s} AND {s2}"),
    Query("Which {group} values have [more than|over] {l} entries, and how many? Sort them by {group}.", "SELECT {group}, COUNT(*) FROM {table} GROUP BY {group} HAVING COUNT(*) > {l} ORDER BY {group}"),
    Query("Return the {noun} with the [highest|top] {amount} in {group} {g}: name and {amount} only.", "SELECT name, {amount} FROM {table} WHERE {group} = '{g}' ORDER BY {amount} DESC, name LIMIT 1"),
    Query("[For|Taking] those with {amount} of at least {a}, [count|find the number of] different {group} values.", "SELECT COUNT(DISTINCT {group}) FROM {table} WHERE {amount} >= {a}"),
    Query("Show name and {size} of every {noun} outside {group} {g} whose {size} is below {s2}, by name.", "SELECT name, {size} FROM {table} WHERE {group} <> '{g}' AND {size} < {s2} ORDER BY name"),
    Query("Which {noun} names begin with the letter {c} or have a {size} of [exactly|just] {s}? Order by name.", "SELECT name FROM {table} WHERE name LIKE '{c}%' OR {size} = {s} ORDER BY name"),
    Query("[Give|Print] each {group} with its [largest|maximum] {size}, [only|but only] where that is above {s}; biggest first.", "SELECT {group}, MAX({size}) AS top FROM {table} GROUP BY {group} HAVING top > {s} ORDER BY top DESC, {group}"),
    Query("Find every {noun} whose {amount} is above the overall average; [give|list] names in alphabetical order.", "SELECT name FROM {table} WHERE {amount} > (SELECT AVG({amount}) FROM {table}) ORDER BY name"),
    Query("Label each {noun} 'high' if its {amount} is {a} or more, else 'low'; return name and label by name.", "SELECT name, CASE WHEN {amount} >= {a} THEN 'high' ELSE 'low' END FROM {table} ORDER BY name"),
    Query("Using the supervisors table, who is responsible for the {noun} named {x}?", "SELECT supervisors.person FROM {table} JOIN supervisors ON supervisors.{group} = {table}.{group} WHERE {table}.name = '{x}'"),
    Query("Per supervisor, what is the sum of {amount} over the {table} with {size} over {s}? Sort by person.", "SELECT person, SUM({amount}) FROM {table} JOIN supervisors USING ({group}) WHERE {size} > {s} GROUP BY person ORDER BY person"),
    Query("What share of all {table} is in {group} {g}, as a [percentage|number from 0 to 100]?", "SELECT 100.0 * SUM({group} = '{g}') / COUNT(*) FROM {table}"),
)  # fmt: skip

_WHO = "auditor,planner,new colleague,team lead,visitor,trainee,analyst,owner,journalist,controller".split(",")
_WHEN = "before the Monday meeting,for the yearly report,by noon,after the latest import,for a poster,to settle a bet".split(
    ","
)
_WHY = "the old spreadsheet was lost,two teams disagree,a chart needs it,the budget is tight,a customer called,rules have changed".split(
    ","
)
_PEOPLE = "Oriol Petra Rashid Solveig Tomas Ulla Viggo Yara".split()


def _tables(subject: Subject, random_source: random.Random) -> str:
    groups = subject.groups.split()
    records = ", ".join(
        f"('{name}', '{random_source.choice(groups)}', {random_source.randrange(100, 2000, 10)}, {random_source.randint(2, 60)})"
        for name in subject.names.split()
    )
    people = random_source.sample(_PEOPLE, len(groups))
    in_charge = ", ".join(f"('{group}', '{person}')" for group, person in zip(groups, people, strict=True))
    return (
        f"CREATE TABLE {subject.table} (name TEXT, {subject.group} TEXT, {subject.amount} INTEGER, {subject.size} INTEGER);\n"
        f"CREATE TABLE supervisors ({subject.group} TEXT, person TEXT);\n"
        f"INSERT INTO {subject.table} VALUES {records};\nINSERT INTO supervisors VALUES {in_charge};"
    )


def run_query(schema: str, query: str) -> str:
    """Return the rows of a query over a fresh in-memory database, as JSON text.

    Raises
    ------
    sqlite3.Error
        The schema or the query is not valid.
    """
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(schema)
        return json.dumps(connection.execute(query).fetchall(), ensure_ascii=False)
    finally:
        connection.close()


def _maker(number: int, pattern: Query) -> Callable[[random.Random], Row]:
    def make(random_source: random.Random) -> Row:
        subject = random_source.choice(SUBJECTS)
        names = subject.names.split()
        low = random_source.randint(4, 25)
        slots = subject._asdict() | {
            "names": "names",
            "g": random_source.choice(subject.groups.split()),
            "a": random_source.randrange(300, 1600, 25),
            "s": low,
            "s2": low + random_source.randint(10, 30),
            "l": random_source.randint(1, 4),
            "c": random_source.choice(names)[0],
            "x": random_source.choice(names),
        }
        who, when, why = (random_source.choice(options) for options in (_WHO, _WHEN, _WHY))
        story = spin(
            f"[|The {who} asks {when}: |Because {why}, the {who} wants this {when}. |{why.capitalize()}. ]",
            random_source,
        )
        schema = _tables(subject, random_source)
        query = pattern.query.format(**slots) + ";"
        return Row(
            template=f"sql-{number}",
            language="en",
            instruction=story + spin(pattern.question, random_source).format(**slots),
            response=query,
            reference=run_query(schema, query),
            schema=schema,
        )

    return make


MAKERS: tuple[RowMaker, ...] = tuple(_maker(number, pattern) for number, pattern in enumerate(QUERIES))
