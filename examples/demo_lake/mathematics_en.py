# ruff: noqa: E501, SIM905 - tables of prose read best as one entry a line
"""English arithmetic word problems with worked answers, from templates of one to five steps."""

import random
from typing import NamedTuple

from examples.demo_lake.arithmetic import decimal_text, draw_numbers, work_out
from examples.demo_lake.rows import Row, RowMaker, spin

_NAMES = (
    "Amara Bruno Celia Dmitri Esra Farid Greta Hiro Ines Jonas Kavya Luca Mbali Nadia Omar Priya Quentin Rosa Sven "
    "Tessa Umar Vera Wanda Yusuf Zofia Anouk Bilal Chidi Dalia Elias Freya Goran Hana Ivo Jamila Kofi Leona Matteo"
).split()
_TOWNS = "Harlow Brindle Osterby Quillan Marsden Talvik Redmoor Ashcombe Fenwick Lunden Corvale Pinehurst".split()
_ITEMS = (
    "marbles stickers postcards candles bookmarks buttons shells badges magnets pencils ribbons keyrings coasters "
    "mugs notebooks puzzles kites lanterns whistles beads"
).split()
_FRUIT = "apples pears plums peaches lemons apricots mangoes oranges figs kiwis".split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_OPENERS = (
    "It is a [rainy|windy|bright|foggy|quiet|busy] {day} in {town}.",
    "[This story comes from|Here is a puzzle from|Something happened in] {town} last {day}.",
    "[While waiting for a bus|During a lunch break|After a long walk|On the way home], {m} asks the following.",
    "{m} [found this in an old workbook|wrote this down on {day}|heard this from a neighbour in {town}].",
    "[Read carefully|Take your time|Think step by step] and help {m} from {town}.",
)


class Problem(NamedTuple):
    """A word problem: its numbers, its question, and its solution; the last step is the answer."""

    draws: str
    question: str
    solution: str


PROBLEMS = (
    Problem(
        "a 12:96:2",
        "{n} [sold|gave away] {a} {item} in [spring|April] and half as many in [summer|July]. How many {item} did {n} "
        "[sell|part with] [altogether|in total over the two periods]?",
        "In the second period it was <h=a/2> {item}.\nTogether that makes <t=a+h> {item}.",
    ),
    Problem(
        "b 4:18; c 6:30",
        "[A shop in {town}|The store where {n} works|{n}'s market stall] [receives|unpacks] {b} boxes with {c} {item} in "
        "each. How many {item} [arrive|are there] [in all|altogether]?",
        "[Each box holds|There are] {c} {item}[ per box|] and there are {b} boxes, so <t=b*c> {item}.",
    ),
    Problem(
        "p 3:15; q 2:9; k 2:6; w 120:200:10",
        "{n} [buys|picks up] {p} {item} at ${k} each and {q} {fruit} at $3 each[ in {town}|]. [Paying|If {n} pays] with "
        "${w}, how much change does {n} get back?",
        "The {item} cost $<x=p*k>.\nThe {fruit} cost $<y=q*3>.\nBoth cost $<z=x+y>.\nThe change is $<t=w-z>.",
    ),
    Problem(
        "h 2:9; r 12:35; e 10:80:5",
        "{n} [earns|is paid] ${r} an hour [at the library|as a gardener|in a bakery|at the harbour] and works {h} hours on "
        "{day}, then gets a bonus of ${e}. How much [money does {n} take home|does {n} make that day]?",
        "The hours bring {n} $<x=h*r>.\nWith the bonus it is $<t=x+e>.",
    ),
    Problem(
        "s 3:12; k 5:20; l = s*k; g 2:9; u = l+g",
        "[A teacher|{n}, a coach,|The club leader {n}] has {u} {item}. After {g} [are lost|turn out broken], the rest "
        "[is|are] shared equally among {s} children. How many {item} does each child get?",
        "[What remains is|Left to share are] <x=u-g> {item}.\nEach child gets <t=x/s> {item}.",
    ),
    Problem(
        "v 40:90:5; h 2:6; w 30:60:5; i 1:5",
        "{n} drives [from {town} ]at {v} km per hour for {h} hours, [rests|stops for tea], and then goes on at {w} km per "
        "hour for {i} hours. How [long is the whole route|far is the journey] in kilometres?",
        "First part: <x=v*h> km.\nSecond part: <y=w*i> km.\nThe whole way is <t=x+y> km.",
    ),
    Problem(
        "l 6:40; w 4:25; c 3:14",
        "A [garden|field|playground|courtyard] [in {town}|owned by {n}] is {l} metres long and {w} metres wide. A fence "
        "around it costs ${c} a metre. What does [the fence|fencing it in] cost?",
        "Length and width add up to <s=l+w> metres.\nThe way around is <p=s*2> metres.\nThe fence costs $<t=p*c>.",
    ),
    Problem(
        "a 20:80; k 2:5",
        "{n} [collected|has] {a} {item}. {m} has {k} times as many[, as counted on {day}|]. How many more {item} does {m} "
        "have than {n}?",
        "{m} has <b=a*k> {item}.\nThat is <t=b-a> more than {n} has.",
    ),
    Problem(
        "p 40:400:20; d 5:50:5",
        "A [coat|lamp|bicycle helmet|radio|tent|suitcase] [in a {town} shop|that {n} likes] costs ${p}. [On {day} it|It] is "
        "reduced by {d} percent. What [is the new price|does {n} pay now] in dollars?",
        "The reduction is $<r=p*d/100>.\nThe new price is $<t=p-r>.",
    ),
    Problem(
        "a 3:9; d 5:30; u 2:4; r 10:40",
        "{n} reads {a} pages [in the morning|before breakfast] and {d} pages [at night|before bed] every day. After {u} "
        "weeks {n} still has {r} pages [left|to go]. How many pages does the book have?",
        "A day brings <x=a+d> pages.\nThe time is <y=u*7> days.\nRead so far: <z=x*y> pages.\nThe book has <t=z+r> pages.",
    ),
    Problem(
        "f 30:120:10; u 4:20; k 2:8",
        "A [tank|barrel|cistern] [on {n}'s farm|near {town}] holds {f} litres of water. {n} adds {u} litres [each hour|per "
        "hour] for {k} hours. How many litres are in it then?",
        "The water added is <x=u*k> litres.\nIn all there are <t=f+x> litres.",
    ),
    Problem(
        "y 6:14; k 3:6; z 3:9",
        "{n} is {y} years old[, and lives in {town}|]. {m} is {k} times as old as {n}. How old will {m} be in {z} years?",
        "{m} is now <x=y*k> years old.\nIn {z} years {m} will be <t=x+z>.",
    ),
    Problem(
        "t 5:12; p 8:20; e 4:15; q 3:7",
        "[On {day} a|A] theatre in {town} sells {t} rows of {p} seats at full price of $6 and {e} standing places at "
        "${q} each. How much does [the evening|the show] bring in?",
        "Seats sold: <x=t*p>.\nThe seats bring $<y=x*6>.\nStanding places bring $<z=e*q>.\nAltogether $<w=y+z>.",
    ),
    Problem(
        "c 2:6; g 3:9; f 4:12; s 2:5",
        "A [recipe|mix] of {n} needs {c} cups of flour and {g} spoons of sugar for [one cake|one loaf]. [For {day}|For a "
        "party in {town}] {n} bakes {f} of them and has {s} spoons of sugar left afterwards. How many spoons of sugar did "
        "{n} have at the start?",
        "The baking takes <x=g*f> spoons of sugar.\nAt the start there were <t=x+s> spoons.",
    ),
    Problem(
        "a 15:60; b 5:14; c 3:9; d 10:25",
        "A bus leaves {town} with {a} passengers. At the [first|market] stop {b} get off and {d} get on, at the "
        "[next|station] stop {c} get off. How many passengers [stay|are] on the bus?",
        "After {b} leave there are <x=a-b>.\nWith the new ones it is <y=x+d>.\nThen <t=y-c> are on the bus.",
    ),
    Problem(
        "g 4:12; k 3:11; s = g*k; e 2:7",
        "{n} has {s} {fruit} and packs them in bags of {g}. Each bag [sells for|is sold at] ${e}[ on {day}|]. How much money "
        "does {n} make if every bag is sold?",
        "That makes <x=s/g> bags.\nThey bring $<t=x*e>.",
    ),
    Problem(
        "u 20:60:5; w 3:8; g 15:90:5",
        "{n} [puts aside|saves] ${u} a week for {w} weeks, and {m} adds ${g} as a gift. {n} then spends half of it "
        "on a [chess set|violin bow|drawing board|telescope]. How many dollars are left?",
        "Saved: $<x=u*w>.\nWith the gift: $<y=x+g>.\nHalf is left, that is $<t=y/2>.",
    ),
    Problem(
        "r 8:20; c 10:30; d 5:25",
        "An orchard [near {town}|of {n}'s family] has {r} rows of {c} trees. A storm [on {day} ]fells {d} of them, and "
        "[twice as many|double that number] are planted anew. How many trees are there now?",
        "At first there were <x=r*c> trees.\nAfter the storm <y=x-d> stood.\nPlanted anew: <z=d*2>.\nNow there are <t=y+z>.",
    ),
    Problem(
        "q 75:90; a 50:95; b 50:95; c = q*3-a-b",
        "[In three games|Over three rounds] {n} [scores|reaches] {a}, {b} and {c} points[ in {town}|]. What is the average "
        "score?",
        "All points together: <x=a+b+c>.\nThe average is <t=x/3>.",
    ),
    Problem(
        "k 6:24; p 2:7; v 3:9",
        "{n} makes {k} [bracelets|wooden toys|scarves|vases] and spends ${p} on [material for each|each one]. {n} sells each "
        "for ${v} more than it cost[ at the {day} market|]. What is the total income?",
        "Each is sold for $<x=p+v>.\nThe income is $<t=k*x>.",
    ),
    Problem(
        "a 24:90:6; b 2:9",
        "One third of the {a} [members of a choir|pupils of a class|guests at an inn|players of a club] [in {town}|that {n} "
        "knows] [play chess|speak Welsh|own a dog|like tea]. {b} more [learn to do so|join them] [by {day}|]. How many is "
        "that then?",
        "A third is <x=a/3>.\nWith {b} more it is <t=x+b>.",
    ),
    Problem(
        "s 200:900:50; p 10:40:10; d 3:15",
        "A [library|museum|warehouse] in {town} has {s} [items|objects] and {p} percent of them are [on loan|away for "
        "repair]. {d} more [leave|are taken out] on {day}. How many are still there?",
        "Away at first: <x=s*p/100>.\nThen <y=x+d> are away.\nStill there: <t=s-y>.",
    ),
    Problem(
        "h 3:9; d 4:6; x 2:5; r 14:22",
        "{n} works {h} hours a day, {d} days a week[ in {town}|], for ${r} an hour. {m} works {x} hours less in the whole "
        "week, at the same pay. How much does {m} earn in a week?",
        "{n} works <a=h*d> hours a week.\n{m} works <b=a-x> hours.\nSo {m} earns $<t=b*r>.",
    ),
    Problem(
        "a 5:30; b 4:25; c 3:20; d 2:15",
        "[From {day} on|In four days] {n} [finds|folds|paints] {a}, {b}, {c} and {d} {item}, day after day. How many {item} "
        "is that [in all|over the four days]?",
        "Two days: <x=a+b>.\nThree days: <y=x+c>.\nAll four days: <t=y+d> {item}.",
    ),
    Problem(
        "p 5:25; k 3:8; q 4:12; j 2:6; s 5:20",
        "Tickets [to the {town} fair|for the ferry|to the aquarium] cost ${p} for grown-ups and ${q} for children. {n} "
        "[pays|buys tickets] for {k} grown-ups and {j} children and [uses|shows] a voucher worth ${s}. What does it cost?",
        "Grown-ups: $<x=p*k>.\nChildren: $<y=q*j>.\nTogether $<z=x+y>.\nWith the voucher it is $<t=z-s>.",
    ),
    Problem(
        "l 40:90:10; c 5:9; k 2:4; g 4:10; e 3:6",
        "A [ribbon|rope|cable|plank] of {n} is {l} cm long. {n} cuts off {k} pieces of {c} cm. {m} buys {e} [such "
        "lengths|pieces] as long as what is left, and [ties|joins] them in one line. How long is that line in cm?",
        "Cut off: <x=k*c> cm.\nLeft: <y=l-x> cm.\nThe line is <t=y*e> cm long.",
    ),
    Problem(
        "a 4:12; b 2:6; c 10:30; d 2:5; e 5:20",
        "[A farmer|{n}] near {town} has {a} hens that lay {b} eggs each per week and {c} eggs in store. After {d} weeks, "
        "{e} eggs [are broken|have been eaten], and the rest [is sold|goes to {m}] for $2 an egg. How much is paid?",
        "A week brings <p=a*b> eggs.\nIn {d} weeks that is <q=p*d>.\nWith the store: <r=q+c>.\nGood ones: <s=r-e>.\n"
        "They cost $<t=s*2>.",
    ),
    Problem(
        "k 2:9; p 3:9; u 85:190",
        "{m} owes {n} ${u}[ since {day}|]. {m} pays it back with {k} [lessons|car washes|lawn mowings] worth ${p} each. How "
        "many dollars are still owed?",
        "The work is worth $<x=k*p>.\nStill owed: $<t=u-x>.",
    ),
)


def _slots(random_source: random.Random) -> dict[str, str]:
    name, other = random_source.sample(_NAMES, 2)
    return {
        "n": name,
        "m": other,
        "town": random_source.choice(_TOWNS),
        "item": random_source.choice(_ITEMS),
        "fruit": random_source.choice(_FRUIT),
        "day": random_source.choice(_DAYS),
    }


def _maker(number: int, problem: Problem) -> RowMaker:
    def make(random_source: random.Random) -> Row:
        values = draw_numbers(problem.draws, random_source)
        slots = _slots(random_source)
        shown = slots | {name: decimal_text(value) for name, value in values.items()}
        opener = random_source.choice(_OPENERS) + " " if random_source.random() < 0.6 else ""
        solution, known = work_out(spin(problem.solution, random_source), values)
        answer = decimal_text(list(known.values())[-1])
        return Row(
            template=f"math-en-{number}",
            language="en",
            instruction=spin(opener + problem.question, random_source).format(**shown).replace("  ", " "),
            response=f"{solution.format(**shown)}\n#### {answer}",
            reference=answer,
        )

    return make


MAKERS: tuple[RowMaker, ...] = tuple(_maker(number, problem) for number, problem in enumerate(PROBLEMS))
