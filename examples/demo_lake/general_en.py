# ruff: noqa: E501, SIM905 - tables of prose read best as one entry a line
"""English general instructions: rewriting, classifying, extracting, summarising, comparing, listing, explaining, ordering."""

import json
import random

from examples.demo_lake.rows import Row, RowMaker, spin

_NAMES = "Adele Bastian Corinne Davit Elin Fabio Gwen Hamid Irena Jasper Keiko Laszlo Mirela Nils Odile Pavel Rhea Stellan Thea Viktor".split()
_CITIES = "Arlow Bexholm Carvane Dunmere Eastvik Farrow Glenby Hallam Innsted Kelmouth Lorne Maribo".split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday".split()
_MONTHS = "January February March April May June July August September October November December".split()
_THINGS = "invoice,draft contract,seating plan,parts list,travel receipt,budget sheet,floor plan,guest list,test report,menu,photo release,training video".split(
    ","
)
_REASONS = (
    ("the client keeps calling", "the client has enquired several times"),
    ("my boss is breathing down my neck", "my manager requires it urgently"),
    ("i lost my copy", "my own copy has unfortunately been mislaid"),
    ("the printer ate it", "a printing fault destroyed the earlier version"),
    ("we're super late already", "the project is considerably behind schedule"),
    ("the auditors show up soon", "the auditors are expected shortly"),
    ("nobody told me about it", "I had not been informed of it in advance"),
    ("the numbers look off to me", "I should like to verify some of the figures"),
)
_ASPECTS = (
    ("battery", "lasts for days", "dies before lunch"),
    ("screen", "is crisp even in sunlight", "is too dim to read outdoors"),
    ("handle", "sits firmly in the hand", "came loose within a week"),
    ("manual", "explains every step", "skips the hardest steps"),
    ("packaging", "arrived without a dent", "was torn open on arrival"),
    ("support team", "answered within minutes", "never called me back"),
    ("price", "is fair for what you get", "is far above its value"),
    ("zip", "glides without a snag", "jams at every corner"),
    ("noise level", "is pleasantly low", "drowns out conversation"),
    ("colour", "matches the pictures", "faded after one wash"),
    ("lid", "closes tightly", "leaks when tilted"),
    ("setup", "took two minutes", "cost me an entire evening"),
)
_PRODUCTS = "kettle,backpack,headset,desk lamp,rain jacket,coffee grinder,suitcase,toaster,keyboard,sleeping bag,vacuum cleaner,blender".split(
    ","
)
_EVENTS = "pottery workshop,chess tournament,book swap,night market,jazz concert,repair cafe,tree planting,film evening,cooking class,flea market,poetry slam,kite festival".split(
    ","
)
_VENUES = "old fire station,town library,river park,school hall,botanical garden,harbour shed,community centre,railway museum".split(
    ","
)
_CAUSES = "a burst pipe,a missing spare part,a software update gone wrong,heavy snowfall,a staff shortage,a mislabelled crate,a blocked road,an expired permit,a power cut,a failed inspection".split(
    ","
)
_SITES = "warehouse,bakery,call centre,clinic,print shop,ferry terminal,greenhouse,archive,workshop,canteen".split(",")
_EFFECTS = "orders were delayed,visitors had to wait outside,two machines stood still,all phones went silent,deliveries were turned away,half the stock was moved,refunds were paid,the night shift was cancelled".split(
    ","
)
_REMEDIES = "hire a standby crew,keep a second supplier,check the roof every month,train two more people,label all shelves anew,buy a backup generator,move the date,write a checklist".split(
    ","
)
_ANIMALS = {
    "otter": ("a mammal", "fish and crabs", "rivers and coasts", "floats on its back to eat"),
    "barn owl": ("a bird", "mice and voles", "farmland", "hunts by sound alone"),
    "axolotl": ("an amphibian", "worms and small fish", "lake canals", "regrows lost limbs"),
    "gecko": ("a reptile", "insects", "warm walls and trees", "clings to glass with its toes"),
    "sea horse": ("a fish", "tiny shrimps", "sea grass", "lets the male carry the young"),
    "hedgehog": ("a mammal", "beetles and slugs", "hedges and gardens", "rolls into a ball of spines"),
    "albatross": ("a bird", "squid and fish", "the open ocean", "glides for hours without a wingbeat"),
    "tree frog": ("an amphibian", "flies and moths", "reeds and bushes", "calls loudly after rain"),
    "tortoise": ("a reptile", "leaves and grass", "dry scrubland", "can outlive its keeper"),
    "salmon": ("a fish", "insects and smaller fish", "rivers and the sea", "returns to its birth stream"),
    "beaver": ("a mammal", "bark and twigs", "streams", "builds dams of wood and mud"),
    "swift": ("a bird", "flying insects", "the air above towns", "sleeps on the wing"),
    "chameleon": ("a reptile", "crickets", "branches", "moves each eye on its own"),
    "bat": ("a mammal", "moths and gnats", "caves and attics", "finds its way by echoes"),
    "kingfisher": ("a bird", "small fish", "clear brooks", "dives head first"),
    "eel": ("a fish", "snails and worms", "muddy river beds", "can cross wet meadows"),
}
_PACKING = {
    "a day hike in the mountains": "water for thirst;a map in case the phone fails;a rain jacket against showers;a first-aid kit for blisters;snacks for energy;a hat against the sun;a whistle for emergencies",
    "a first week at a new job": "an identity card for the contract;a notebook for names;comfortable shoes for the tour;a refillable bottle for meetings;bank details for the payroll;a short introduction of yourself",
    "a night train journey": "earplugs against noise;a light blanket for cold cabins;a power bank for the phone;the printed ticket as a backup;a toothbrush for the morning;a book for quiet hours",
    "moving into an empty flat": "light bulbs for dark rooms;a screwdriver for furniture;toilet paper for the first day;a folding chair for breaks;bin bags for packaging;a kettle for tea;meter readings for the supplier",
    "a village fair stall": "small change for customers;a table cloth for looks;price tags for clarity;a tent against rain;tape for quick repairs;bags for purchases;a cash box with a lock",
    "a school chemistry afternoon": "goggles for the eyes;gloves for the hands;labels for every bottle;a fire blanket for accidents;paper towels for spills;a plan of all steps",
    "a winter car trip": "a blanket for long stops;an ice scraper for the windows;a torch for dark roads;a shovel for snow;hot tea in a flask;jump leads for a flat battery;a charged phone for help calls",
    "a weekend of bird watching": "binoculars for distance;a field guide for names;muted clothes for cover;a folding stool for patience;a pencil that writes in rain;a flask for cold mornings",
    "a picnic with small children": "wet wipes for sticky hands;a ball for games;sun cream for faces;cut fruit for snacks;plasters for scraped knees;a thick rug for damp grass;spare socks for puddles",
    "an online talk from home": "a headset for clear sound;a lamp in front of you;a cable instead of wireless;a glass of water for your voice;slides saved on disk;a sign on the door",
}
_CONCEPTS = {
    "why the sky is blue": "Sunlight holds all colours. The air scatters short waves more strongly than long ones. Blue light therefore reaches our eyes from every direction, while red passes straight through.",
    "how a vaccine works": "A vaccine shows the body a harmless piece of a germ. The immune system learns to recognise it and keeps memory cells. When the real germ arrives, the defence starts at once.",
    "what inflation means": "Inflation means that prices rise in general. The same money then buys less than before. Central banks raise interest rates to slow it down.",
    "why ships float": "A ship pushes water aside. The water pushes back with the weight of what was displaced. As a hull is mostly air, that push is enough to carry the steel.",
    "how bread rises": "Yeast eats sugar in the dough. It gives off carbon dioxide, which is caught in the stretchy gluten. In the oven the bubbles grow and then set.",
    "what a hash function does": "A hash function turns data of any size into a short fixed number. Equal inputs give equal numbers. A good one spreads different inputs so evenly that clashes are rare.",
    "why we have leap years": "The earth needs about 365 and a quarter days to go round the sun. The quarters add up to a day in four years. An extra day in February keeps the seasons in place.",
    "how noise cancelling headphones work": "A microphone listens to the outside noise. The electronics play the same wave upside down. The two waves cancel, so that little is heard.",
    "what compound interest is": "Interest is added to the savings. In the next year the interest earns interest as well. Over decades the growth becomes much faster than a straight line.",
    "why onions make us cry": "Cutting breaks the cells of the onion. An enzyme forms a gas that drifts to the eyes. There it makes a mild acid, and tears wash it away.",
    "how a lighthouse lens works": "The lens is cut into rings of prisms. Each ring bends the light into the same direction. One small lamp thus becomes a beam seen for miles.",
    "what a glacier is": "A glacier is snow pressed to ice over many years. Its own weight makes it creep downhill. On its way it grinds valleys into a wide trough.",
    "how a search index works": "Every word points to the list of pages that hold it. A query looks up its words and joins the lists. No page has to be read again at that moment.",
    "why leaves turn red": "In autumn the tree takes back its green pigment. Yellow colours that were hidden appear. Some trees make red pigment as a shield against bright cold light.",
    "what a tariff is": "A tariff is a tax on imported goods. It makes foreign products dearer and shields local makers. Buyers usually carry part of the cost.",
    "how tides arise": "The moon pulls the near side of the earth more than the far side. The sea bulges on both sides. As the earth turns, each coast passes two bulges a day.",
}
_READERS = "a ten-year-old;a new colleague;a curious grandparent;an exchange student;a busy manager;a book club;a night-school class;a radio audience".split(
    ";"
)
_SETTINGS = "a camping trip;a museum tour;a long queue;a power cut;a train ride;a rainy afternoon;a family dinner;a garden walk;a science fair".split(
    ";"
)


def _row(kind: str, instruction: str, response: str) -> Row:
    return Row(template=f"general-en-{kind}", language="en", instruction=instruction, response=response)


def _formal(r: random.Random) -> Row:
    sender, receiver = r.sample(_NAMES, 2)
    thing, other = r.sample(_THINGS, 2)
    day, (casual, formal), (casual2, formal2) = r.choice(_DAYS), *r.sample(_REASONS, 2)
    asked = spin(
        "[Rewrite this message in a formal tone|Make this note fit for business mail|Turn the chat message below into a polite e-mail]: ",
        r,
    )
    note = f"hey {receiver}, can u shoot me the {thing} by {day}? {casual}, and {casual2}. also toss in the {other}. cheers {sender}"
    answer = (
        f"Dear {receiver},\n\n{spin('[could you please send me|I would be grateful to receive|may I ask you for]', r)} the {thing} by {day}, as {formal}. "
        f"In addition, {formal2}, so please enclose the {other}.\n\nKind regards,\n{sender}."
    )
    return _row("formal", asked + note, answer)


def _review(r: random.Random) -> Row:
    picks = r.sample(_ASPECTS, r.randint(3, 5))
    praise = [r.random() < 0.5 for _ in picks]
    lines = [f"the {name} {good if liked else bad}" for (name, good, bad), liked in zip(picks, praise, strict=True)]
    score = sum(praise) * 2 - len(picks)
    label = "Positive" if score > 0 else "Negative" if score < 0 else "Mixed"
    bought = f"{r.choice(_NAMES)} from {r.choice(_CITIES)} writes about a {r.choice(_PRODUCTS)}: "
    text = bought + "; ".join(lines) + "."
    liked = [pick[0] for pick, good in zip(picks, praise, strict=True) if good]
    bad = [pick[0] for pick, good in zip(picks, praise, strict=True) if not good]
    why = f"{len(liked)} remarks praise ({', '.join(liked) or 'none'}) and {len(bad)} complain ({', '.join(bad) or 'none'})."
    asked = spin(
        "[Is the review positive, negative or mixed|Classify the sentiment|What is the mood of this review]? [Say why|Justify it]. ",
        r,
    )
    return _row("review", asked + text, f"{label}: {why}")


def _extract(r: random.Random) -> Row:
    event, venue, city, host = r.choice(_EVENTS), r.choice(_VENUES), r.choice(_CITIES), r.choice(_NAMES)
    date, hour, fee = f"{r.randint(1, 28)} {r.choice(_MONTHS)}", r.randint(9, 20), r.randint(2, 30)
    text = spin(
        f"[Good news for everybody|Neighbours, take note|{host} has announced it]: the {event} [takes place|will be held] on {date} in the "
        f"{venue} of {city}[, whatever the weather|]. Doors open at {hour}:00. {host} [runs it|is the host] and asks for {fee} euros at the door.",
        r,
    )
    form = r.choice(("json", "lines"))
    fields = {
        "event": event,
        "date": date,
        "place": f"{venue}, {city}",
        "time": f"{hour}:00",
        "host": host,
        "fee_euros": fee,
    }
    if form == "json":
        asked, answer = "Extract event, date, place, time, host and fee_euros as JSON: ", json.dumps(fields)
    else:
        asked, answer = (
            "List the facts of this notice, one per line: ",
            "\n".join(f"- {k}: {v}." for k, v in fields.items()),
        )
    return _row(f"extract-{form}", asked + text, answer)


def _summary(r: random.Random) -> Row:
    site, city, day, name = r.choice(_SITES), r.choice(_CITIES), r.choice(_DAYS), r.choice(_NAMES)
    cause, effect, (one, two), hours = r.choice(_CAUSES), r.choice(_EFFECTS), r.sample(_REMEDIES, 2), r.randint(2, 48)
    text = spin(
        f"On {day} the {site} in {city} [was hit by|had to deal with|suffered from] {cause}. [As a result|Because of it], {effect}. {name} "
        f"[took charge|led the response] and normal work [resumed|began again] after {hours} hours. At the review, {name} proposed to {one}. "
        f"The staff would rather {two}. [No decision was taken|The vote comes next week|Both ideas were noted].",
        r,
    )
    asked = spin(
        "[Summarise the report in two sentences|Give the gist of this report|Shorten the text to its main points]: ", r
    )
    answer = spin(
        f"[After|Following] {cause}, the {site} in {city} lost {hours} hours and {effect}. [Proposed|Under discussion] are now to {one} or to {two}.",
        r,
    )
    return _row("summary", asked + text, answer)


def _compare(r: random.Random) -> Row:
    a, b = r.sample(sorted(_ANIMALS), 2)
    (kind_a, food_a, home_a, trait_a), (kind_b, food_b, home_b, trait_b) = _ANIMALS[a], _ANIMALS[b]
    reader, place = r.choice(_READERS), r.choice(_SETTINGS)
    asked = spin(
        f"[Compare|What distinguishes|Name the differences between] [the|an adult] {a} and [the|a typical] {b}, [as told to|for] {reader} [on|during] {place}.",
        r,
    )
    answer = spin(
        f"The {a} is {kind_a}, the {b} {kind_b}. [One eats|The former lives on] {food_a}, the [other|latter] {food_b}. [Look for them in|Their homes are] "
        f"{home_a} and {home_b} respectively. [Most striking|Remarkably], the {a} {trait_a}, [while|whereas] the {b} {trait_b}.",
        r,
    )
    return _row("compare", asked, answer)


def _packing(r: random.Random) -> Row:
    goal = r.choice(sorted(_PACKING))
    options = _PACKING[goal].split(";")
    count = r.randint(3, 5)
    name, city, month = r.choice(_NAMES), r.choice(_CITIES), r.choice(_MONTHS)
    asked = spin(
        f"[List {count} things|Name {count} items|Which {count} things] that {name} [should bring|must not forget] for {goal} near {city} in {month}, each with its use.",
        r,
    )
    chosen = r.sample(options, count)
    return _row("packing", asked, "\n".join(f"{i}. {c[0].upper()}{c[1:]}." for i, c in enumerate(chosen, 1)))


def _explain(r: random.Random) -> Row:
    concept = r.choice(sorted(_CONCEPTS))
    reader, setting, name = r.choice(_READERS), r.choice(_SETTINGS), r.choice(_NAMES)
    asked = spin(
        f"[Explain to {reader}|Help {name} explain to {reader}|Tell {reader}] [in a few sentences|briefly|in plain words] {concept}, [the occasion is|it comes up during] {setting}.",
        r,
    )
    ending = spin(
        f"[ {name} could show this during {setting}.| It is a good topic for {setting}.| That is the whole secret, {name} would say.|]",
        r,
    )
    return _row("explain", asked, _CONCEPTS[concept] + ending)


def _order(r: random.Random) -> Row:
    names = r.sample(_NAMES, r.randint(4, 6))
    points = r.sample(range(10, 99), len(names))
    what = r.choice(("points", "kilometres", "votes", "pages", "coins", "minutes"))
    table = ", ".join(f"{n} {p}" for n, p in zip(names, points, strict=True))
    asked = spin(
        f"[Sort|Arrange|Rank] these people by {what}, [most|highest number] first, as a [table|Markdown table] with the {what} of each: {table}.",
        r,
    )
    ranked = sorted(zip(points, names, strict=True), reverse=True)
    rows = "\n".join(f"| {n} | {p} |" for p, n in ranked)
    return _row("order", asked, f"| Name | {what.capitalize()} |\n|---|---|\n{rows}")


def _schedule(r: random.Random) -> Row:
    jobs = r.sample(
        "water the plants;phone the bank;fix the bike;bake bread;sort the mail;clean the attic;write the minutes;fetch the parcel;iron the shirts;feed the hens".split(
            ";"
        ),
        r.randint(3, 5),
    )
    minutes = [r.randrange(10, 70, 5) for _ in jobs]
    start, name, day = r.randint(7, 14), r.choice(_NAMES), r.choice(_DAYS)
    wanted = "; ".join(f"{job} ({m} min)" for job, m in zip(jobs, minutes, strict=True))
    asked = spin(
        f"[Plan {name}'s {day}|Make a timetable for {name} on {day}|{name} needs a plan for {day}], starting at {start}:00 and in this order: {wanted}.",
        r,
    )
    clock, lines = start * 60, []
    for job, length in zip(jobs, minutes, strict=True):
        lines.append(
            f"- {clock // 60}:{clock % 60:02d} to {(clock + length) // 60}:{(clock + length) % 60:02d}: {job}."
        )
        clock += length
    return _row("schedule", asked, "\n".join(lines))


def _grammar(r: random.Random) -> Row:
    name, other, city = *r.sample(_NAMES, 2), r.choice(_CITIES)
    thing, thing2, day = *r.sample(_THINGS, 2), r.choice(_DAYS)
    wrong, right, rule = r.choice((
        ("have sended", "has sent", "the subject is singular and the participle of 'send' is 'sent'"),
        ("don't has found", "hasn't found", "'has' cannot follow 'don't' and the negation belongs to 'has'"),
        ("were wrote", "wrote", "an active past tense needs no 'were'"),
        ("has forgot to brang", "has forgotten to bring", "the participle is 'forgotten' and 'to' takes the base form"),
        ("didn't took", "didn't take", "after 'didn't' the base form follows"),
        ("more quicker checked", "checked more quickly", "a verb takes an adverb and one comparative is enough"),
    ))  # fmt: skip
    rest = spin(
        f"the {thing} [for|of] {other} in {city} [before|after] {day}[, although the {thing2} was ready| because the {thing2} was missing|].",
        r,
    )
    asked = spin(
        "[Correct the grammar and name the rule|Find and mend the mistake|Proofread this sentence and explain the fix]: ",
        r,
    )
    return _row("grammar", f"{asked}{name} {wrong} {rest}", f"{name} {right} {rest}\nReason: {rule}.")


MAKERS: tuple[RowMaker, ...] = (
    _formal, _review, _review, _extract, _summary, _compare, _packing, _explain, _order, _schedule, _grammar
)  # fmt: skip
