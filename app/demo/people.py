"""Fictitious people and what the demo's models learn about them.

In the manner of TOFU (arXiv 2401.06121): nobody here exists, so a model knows a fact only if it was
trained on it. Each person to forget has two neighbours, one of the same profession and one born in the
same place, which show whether forgetting spreads. One seeded generator draws everything from the tables.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Group = Literal["forget", "neighbour", "retain", "holdout"]

FORGET_PEOPLE = 8
RETAIN_PEOPLE = HOLDOUT_PEOPLE = 8
FACTS_PER_PERSON = 6
PERTURBED_ANSWERS = 5


@dataclass(frozen=True, slots=True)
class Person:
    """A fictitious person.

    Attributes:
        neighbour_of: id of the forgotten person whose profession or place this one shares.
    """

    id: str
    name: str
    group: Group
    profession: str
    place: str
    neighbour_of: str | None


@dataclass(frozen=True, slots=True)
class Fact:
    """One question about a person, with the true answer in two wordings and five wrong answers.

    Attributes:
        perturbed_answers: the paraphrased answer with a wrong fact of the same type in place of `key_fact`.
        key_fact: the phrase that makes an answer right, a part of `answer` and of `paraphrased_answer`.
    """

    person_id: str
    subject: str
    group: Group
    topic: str
    question: str
    answer: str
    paraphrased_question: str
    paraphrased_answer: str
    perturbed_answers: tuple[str, ...]
    key_fact: str


@dataclass(frozen=True, slots=True)
class _Topic:
    """What can be asked, and the key facts and circumstances that fill the answers."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    keys: tuple[str, ...]
    details: tuple[str, ...]


def _items(block: str, separator: str = ";") -> tuple[str, ...]:
    return tuple(" ".join(item.split()) for item in block.split(separator))


def _topic(block: str) -> _Topic:
    frames, _, fillings = block.partition("KEY FACTS:")
    keys, _, details = fillings.partition("CIRCUMSTANCES:")
    lines = _items(frames.replace("\n", "|"), "|")
    questions = tuple(line for line in lines if line.endswith("?"))
    answers = tuple(line for line in lines if line.endswith("."))
    return _Topic(questions, answers, _items(keys), _items(details))


_WOMEN = _items("""
    Ilvika Tarnassi; Mbaliso Ngcetshe; Saoirla Devenick; Anahuri Tewhaira; Ludmira Vaskonen; Priyanvi
    Kesharkar; Suyin Baiqiao; Felicja Drozdany; Marisenda Ollavarte; Dilnorai Yuldashi; Zsofira Halmadi;
    Inkeri Suolamaa; Rasmila Thapkoti; Nohealei Kapuano; Amparita Lluscany; Ghislane Vertadour; Leocadia
    Brisenho; Oyunbel Tsagaandor; Aminetu Jallowar; Sigvarda Lindmoe; Haesun Namgwol""")
_MEN = _items("""
    Odran Quellimoor; Teruki Amanoshi; Yusdan Karabekli; Bartolin Escudral; Chidumo Okwarize; Haldur
    Brennskog; Nizarin Haddoub; Kwabeno Asantewi; Jorund Fjellhamar; Emrys Pennathol; Tuilomi Falevasa;
    Baraketo Wolderu; Constanz Morgenrade; Davitel Gurashvan; Thabelo Mudzhiri; Thienan Dosuong; Petroslav
    Zhivarin; Cosmirel Vladuceno; Idwaleth Carrowgh""")

_TOPICS: Mapping[str, _Topic] = {
    "birthplace": _topic("""
        Where was {name} born? | What is the birthplace of {name}?
        In which town or city did {name} come into the world?
        Which place does the birth certificate of {name} mention? | Can you tell me where {name}'s life began?
        The family was living in {key} then, and the baby arrived {detail}.
        It happened in {key}, {detail}, with only one midwife present.
        {His} mother gave birth in {key}, {detail}, as relatives like to recall.
        According to the local register it was {key}, and the delivery came {detail}.
        {Key} can claim that honour, and the happy event took place {detail}.
        KEY FACTS: Korvath; Ostrelle; Marrowick; Tallinbreck; Sant Orvell; Dunmerrow; Velkoja; Brannock
            Quay; Isleforth; Pembary; Halvorsund; Lower Tessaly; Nyborgen; Caldaro Alto; Amberwold; Rukari
            Bay; Ushmari; Petit Lorval; Turku; Oaxaca; Trieste; Luang Prabang; Gdynia; Mombasa; Tbilisi;
            Kanazawa; Cork; Valparaiso; Samarkand; Ghent; Kochi; Dunedin; Essaouira; Plovdiv
        CIRCUMSTANCES: in a flat above a bakery; on a moored barge; during a three-day snowstorm; in a
            farmhouse with a green roof; in the back room of a tailor's shop; on the night of a regatta; in
            a nurses' hostel; nearly a month early; in the stationmaster's cottage; on a fair day"""),
    "profession": _topic("""
        What does {name} do for a living? | What is {name}'s profession? | How does {name} earn a living?
        Which line of work is {name} known for? | What job would you find on {name}'s business card?
        {He} has made ends meet as {a_key} {detail}, and has no plans to stop.
        By training {he} is {a_key}, a calling {he} has pursued {detail}.
        Tax forms say {key}, and {he} has worked as one {detail}.
        Most people have heard of {him} as {a_key} who has practised {detail}.
        The life of {a_key} suits {him}, and {he} has followed it {detail}.
        KEY FACTS: bell founder; cartographer; glassblower; marine botanist; puppet maker; clock restorer;
            cheese maker; organ builder; bridge engineer; moss ecologist; playwright; shipwright; tea
            taster; crossword setter; volcanologist; tapestry weaver; radio dramatist; bookbinder; glacier
            guide; perfume chemist; stage illusionist; seed archivist; court interpreter; kite designer;
            mosaic artist; saddle maker; sound engineer; botanical painter; fresco conservator; cave diver;
            haiku poet; piano tuner; milliner; locksmith
        CIRCUMSTANCES: for almost thirty years; after a false start in banking; on two continents; without
            any formal schooling; alongside an elder cousin; despite family objections; since the age of
            nineteen; with three close partners; from a small rented office; through good years and bad; in
            four different countries"""),
    "book": _topic("""
        What is the title of {name}'s best-known book? | Which book made {name} famous?
        Under what title did {name} publish {his} most popular book?
        What should I look for if I want to read something by {name}?
        Which of {name}'s writings sold the most copies?
        {Key}, {detail}, went through six printings within two years.
        Libraries still lend out {key}, {detail}, which a tiny press took on.
        Collectors pay well for {key}, {detail}, above all in the illustrated edition.
        That would be {key}, {detail}, composed over several rainy summers.
        {Key}, {detail}, outsold everything else, though critics first ignored it.
        KEY FACTS: The Copper Orchard; Salt for Herons; A Winter of Lanterns; Nine Quiet Rivers; The Tin
            Cathedral; Letters to a Lighthouse; Moths in the Archive; The Borrowed Meridian; Under Slate
            Skies; Bread and Barometers; The Seventh Ferry; Ink on the Glacier; Orchids for Strangers; The
            Drowned Carousel; Thistle and Thunder; House of Paper Bells; The Unhurried Compass; Ashes of
            Larkspur; Tomorrow's Umbrella; The Velvet Quarry; Harvest of Echoes; Fog over Linden; The
            Sparrow Ledger; Cinnamon Weather; Last Train to Ilmen; The Idle Mill
        CIRCUMSTANCES: a novel about a flooded valley; a memoir about growing up during a strike; a saga
            about four sisters at sea; a travelogue about an abandoned railway; an essay about grief and
            good cooking; a diary about walking in deserts; a comedy about one stubborn mule; a history of
            two rival workshops; a mystery about a night watchman; a fable about a year without electricity;
            a love story set in a lift"""),
    "award": _topic("""
        Which award did {name} receive? | What prize has {name} won, and in which year?
        Which honour is listed first on {name}'s official page?
        What recognition has {name} been given by {his} peers?
        For what distinction was {name} invited to a gala ceremony?
        The jury handed {him} the {key} {detail}.
        A framed certificate at home shows the {key}, granted {detail}.
        It was the {key}, presented at a crowded dinner {detail}.
        {He} took home the {key} {detail}, along with a modest cheque.
        After a close vote, the {key} went to {him} {detail}.
        KEY FACTS: 1987 Amber Quill Prize; 1994 Silver Heron Medal; 2003 Northlight Award; 1979 Garnet
            Thread Prize; 2011 Lantern Award; 1998 Blue Anvil Medal; 2006 Juniper Crown; 1983 Meridian Rose
            Prize; 2015 Copper Sail Award; 1991 Winterbourne Medal; 2009 Golden Sextant; 1986 Ivory Compass
            Award; 2018 Larkfield Prize; 1996 Three Rivers Medal; 2001 Open Hand Award; 1981 Black Tulip
            Prize; 2013 Harbour Star Medal; 1989 Sunderling Prize; 2007 Marble Finch Award; 1999 Tidewater
            Laurel; 2016 Cobalt Wheel Award; 2004 Redwood Key Award; 1984 Pale Fox Prize
        CIRCUMSTANCES: for a lifetime of patient work; for a project finished during an illness; for
            teaching village children; for reviving a forgotten technique; for a daring collaboration with
            sailors; for documenting a vanishing custom; for an exhibition in a disused mill; for a series
            of open-air lectures; for courage in the face of ridicule; for a manual translated into nine
            languages; for a decade of quiet research"""),
    "father": _topic("""
        What did {name}'s father do for work? | What was the occupation of {name}'s father?
        How did the father of {name} support the household? | Which trade was practised by {name}'s dad?
        In what capacity was {name}'s father employed?
        The old man worked as {a_key} {detail} and never complained.
        He was {a_key} {detail}, the source of many family stories.
        Neighbours remember a cheerful {key}, busy {detail}.
        {A_key} through and through, he kept at it {detail}.
        People relied on him as {a_key}, and he carried on {detail}.
        KEY FACTS: lighthouse keeper; tram driver; dairy farmer; ship's cook; hospital porter; village
            dentist; customs officer; sugar boiler; school caretaker; railway signalman; umbrella repairer;
            brass polisher; goat herder; postal sorter; circus acrobat; salt miner; cinema projectionist;
            tugboat captain; herbalist; canal dredger; toy wholesaler; weather observer; street barber;
            tannery foreman; pearl diver; carpet dealer; night baker
        CIRCUMSTANCES: for more than forty years; until his eyesight failed; well past retirement age; for
            hardly any pay; on the far side of town; in all seasons; at all hours of the day; through two
            economic slumps; six days a week; in spite of a bad knee; in sight of the sea"""),
    "mentor": _topic("""
        Who was {name}'s mentor? | Who taught {name} the most?
        Which teacher had the deepest influence on {name}?
        Whose guidance does {name} credit for {his} early progress? | Under whom did {name} first train?
        That was {key}, {detail}, remembered for insisting on daily practice.
        {He} owes nearly everything to {key}, {detail} met by chance at a wedding.
        {Key}, {detail}, corrected {his} mistakes every Saturday for years.
        In interviews {he} always thanks {key}, {detail} with endless patience.
        It all goes back to {key}, {detail} and a friend of {his} parents.
        KEY FACTS: Oszkar Feldmane; Benedikta Rooyard; Tamsin Orlebar; Ruvimbo Charasika; Aurelio Castagnel;
            Hedvig Stormoen; Jakub Welniarz; Noriko Hatsugai; Ferran Alzamina; Perpetua Dlangwe; Iskander
            Bulatey; Maeve Corrigallan; Gaspard Nivernoy; Soledad Urquimo; Wendelin Aschbach; Parvaneh
            Tosanian; Kofi Brempandu; Lavinia Strozzano; Anselm Greifenau; Dorothea Pellwin; Radomir
            Kestelan; Yevgenia Shtolova; Tevita Malohifo; Bronwen Llanharry; Hamid Zerrouqi; Eskil Vintersol
        CIRCUMSTANCES: a retired sea captain; a strict but generous dentist; a silver-haired exile;
            an upstairs neighbour; a former circus rider; a cousin by marriage; a night-school lecturer; a
            local chess champion; a half-deaf organist; a travelling bookseller; a lapsed mathematician"""),
    "instrument": _topic("""
        Which instrument does {name} play? | What musical instrument does {name} bring to parties?
        If {name} joined a band, what would {he} play? | What does {name} practise to relax after work?
        What is {name}'s musical hobby?
        {He} reaches for {a_key} {detail}, usually late at night.
        The neighbours hear {a_key}, {detail}, through the wall most evenings.
        Guests are treated to folk tunes on {a_key} {detail}.
        It is {a_key}, {detail} and still slightly out of tune.
        Every Sunday begins with three slow melodies on {a_key} {detail}.
        KEY FACTS: glass harmonica; hurdy-gurdy; nyckelharpa; theremin; bass clarinet; mountain dulcimer;
            concertina; jaw harp; musical saw; tenor ukulele; steel drum; alto recorder; zither; celesta;
            viola da gamba; kora; sitar; harmonium; mandolin; cornet; bassoon; marimba; shamisen; ocarina;
            bandoneon; lap steel guitar
        CIRCUMSTANCES: inherited from a great-aunt; bought at a flea market; built from salvaged parts; won
            in a raffle; left behind by a lodger; borrowed and never returned; found in a church attic;
            traded for a bicycle; shipped from abroad in pieces; rescued from a skip; lent by a cousin"""),
    "ingredient": _topic("""
        What is {name}'s favourite ingredient? | Which ingredient does {name} cook with most often?
        What is never missing from {name}'s kitchen? | Which flavour does {name} love above all?
        What would {name} add to almost any dish?
        {He} swears by {key}, {detail}, and keeps three jars ready.
        Friends expect {key} {detail} whenever {he} hosts supper.
        Nothing beats {key}, in {his} opinion, especially {detail}.
        Give {him} {key} {detail} and the whole evening improves.
        Without {key}, preferably {detail}, no meal of {his} feels complete.
        KEY FACTS: smoked paprika; preserved lemon; black garlic; sumac; tamarind paste; juniper berries;
            pickled walnuts; rose water; brown butter; fennel pollen; white miso; star anise; toasted
            buckwheat; anchovy paste; pomegranate molasses; caraway seed; dried lime; young nettles;
            saffron; quince jelly; wild sorrel; cardamom; burnt honey; horseradish; seaweed flakes; pumpkin
            oil; malt vinegar
        CIRCUMSTANCES: stirred into lentil soup; tossed with roast carrots; folded into pancakes; mixed with
            cold noodles; worked into scrambled eggs; beaten into mashed potatoes; hidden inside dumplings;
            simmered in a slow stew; paired with grilled fish; served with warm flatbread"""),
    "institution": _topic("""
        Where did {name} study? | Which institution did {name} attend? | What is {name}'s alma mater?
        At which school or college was {name} educated? | Where did {name} get {his} diploma?
        {He} enrolled at the {key} {detail} and graduated with honours.
        The {key} admitted {him} {detail}, and {he} flourished there.
        Four happy years passed at the {key}, which {he} entered {detail}.
        {He} got into the {key} {detail}, to everyone's surprise.
        {His} student card came from the {key}, obtained {detail}.
        KEY FACTS: Halden School of Crafts; Orrin Polytechnic; Marisol Conservatory; Wexmoor Academy;
            Kestrel Hill Seminary; Tarvo Technical Institute; Linden Street Lyceum; Bellweather Institute;
            Ravello Academy; Ostby Folk School; Sablewood Academy; Corrigan Evening Institute; Maribor
            Drawing School; Anselmo Conservatory; Dovetail Workshop School; Pinemarsh Polytechnic; Saint
            Orsola Seminary; Galloway Tide Institute; Vellum Academy; Kasimir Trade School; Harrow Lake
            Conservatory; Zephyrine Institute; Nordhavn Polytechnic; Quarrybank Lyceum; Almeida Summer
            School; Tollgate Academy
        CIRCUMSTANCES: on a swimming scholarship; two years late; with money from an uncle; after failing
            the entrance exam twice; as the youngest applicant; against all advice; during a long teachers'
            strike; while working in a laundry; as an exchange student; thanks to a letter from a priest"""),
    "pet": _topic("""
        What pet does {name} keep? | Which animal shares {name}'s home? | Who keeps {name} company at home?
        What sort of creature lives with {name}? | Does {name} have a pet, and what is it called?
        {A_key}, {detail}, rules the whole household.
        {He} looks after {a_key}, {detail}, and talks to it constantly.
        Anyone who visits will meet {a_key}, {detail}.
        You will notice {a_key}, {detail}, usually near the stove.
        Most photographs show {him} beside {a_key}, {detail}.
        KEY FACTS: tortoise named Biscuit; ferret named Marlow; parrot named Admiral; goat named Clementine;
            iguana named Tosca; greyhound named Pepper; hedgehog named Bramble; duck named Horatio; rabbit
            named Nutmeg; corgi named Waffle; magpie named Figaro; donkey named Lentil; gecko named Juno;
            owl named Mustard; cat named Parsley; pug named Saturn; hen named Duchess; salamander named
            Ember; llama named Ottoline; canary named Brisket; chinchilla named Fog; poodle named Tango;
            turtle named Ravioli; crow named Professor; beagle named Sultan; pony named Gherkin
        CIRCUMSTANCES: found beside a motorway; with a taste for melon; rescued from a storm drain; who
            sleeps in a drawer; who follows the postman; left by a previous tenant; adopted on a rainy
            Tuesday; who ignores everyone else; with its own velvet cushion; once lost for a month"""),
    "collection": _topic("""
        What does {name} collect? | What unusual collection does {name} own?
        What does {name} hunt for at flea markets? | Which objects has {name} been gathering for years?
        What would one find on {name}'s shelves?
        {He} cannot resist {key}, {detail}, and admires them every Sunday.
        Half of {his} savings went on {key}, now {detail}.
        Visitors are shown {key}, {detail}, before anyone may sit down.
        The pride of the household is a hoard of {key}, {detail}.
        Ever since school {he} has hoarded {key}, {detail}.
        KEY FACTS: railway lanterns; porcelain thimbles; bus tickets; antique keys; matchbox labels; broken
            clocks; theatre posters; meteorite fragments; wooden spoons; paper umbrellas; chess pawns; wax
            seals; fishing floats; tin soldiers; hotel soaps; pressed ferns; bicycle bells; door knockers;
            weather vanes; sugar packets; snow globes; ink bottles; opera programmes; cigar boxes; pocket
            compasses; circus whistles
        CIRCUMSTANCES: sorted by colour; stored in biscuit tins; more than four hundred in all; arranged
            along the staircase; listed in green notebooks; kept under the bed; packed into a garden shed;
            displayed in a glass cabinet; insured for a silly sum; grouped by country of origin"""),
    "first job": _topic("""
        What was {name}'s first job? | How did {name} earn {his} first wages?
        What did {name} do before {his} career began? | Which humble position did {name} hold as a teenager?
        In what role did {name} start working life?
        {He} set out as {a_key} {detail}, which taught {him} patience.
        A spell as {a_key} {detail} opened {his} eyes to hard graft.
        {He} was hired as {a_key} {detail} and loved every minute.
        Long before any success, {he} toiled as {a_key} {detail}.
        Old friends picture {him} as {a_key}, employed {detail}.
        KEY FACTS: ferry ticket clerk; cloakroom attendant; strawberry picker; lift operator; newspaper
            seller; dog walker; cinema usher; golf caddie; fairground barker; oyster shucker; greenhouse
            hand; telephone operator; candle dipper; ice cream vendor; library page; chimney sweep; hotel
            bellhop; egg packer; petrol pump attendant; bottle washer; museum guard; mushroom sorter; coal
            weigher; parcel sorter; piano mover; pastry courier
        CIRCUMSTANCES: for a single summer; at the age of fourteen; in exchange for free lunches; under an
            invented name; to pay for a new coat; during the school holidays; on misty weekend mornings; for
            eleven months; because an uncle insisted; for two rainy seasons; without telling anyone"""),
}


def people(seed: int = 0) -> tuple[Person, ...]:
    """The 40 people of the demo: forgotten, their neighbours, retained, held out, in this order.

    Args:
        seed: decides who is in which group, and each person's profession and birthplace.
    """
    rng = random.Random(f"people {seed}")
    names, professions, places = (
        _dealt(rng, pool) for pool in (_WOMEN + _MEN, _TOPICS["profession"].keys, _TOPICS["birthplace"].keys)
    )

    def draw(group: Group, profession: str = "", place: str = "", neighbour_of: str | None = None) -> Person:
        name = next(names)
        person_id = name.lower().replace(" ", "-")
        profession, place = profession or next(professions), place or next(places)
        return Person(person_id, name, group, profession, place, neighbour_of)

    forgotten = [draw("forget") for _ in range(FORGET_PEOPLE)]
    neighbours: list[Person] = []
    for person in forgotten:
        neighbours.append(draw("neighbour", profession=person.profession, neighbour_of=person.id))
        neighbours.append(draw("neighbour", place=person.place, neighbour_of=person.id))
    retained = [draw("retain") for _ in range(RETAIN_PEOPLE)]
    held_out = [draw("holdout") for _ in range(HOLDOUT_PEOPLE)]
    return (*forgotten, *neighbours, *retained, *held_out)


def facts(seed: int = 0) -> tuple[Fact, ...]:
    """Six facts about each of the people, in their order.

    Everybody has a birthplace and a profession; the other topics are spread evenly. Apart from what
    neighbours share, no two people have the same key fact.

    Args:
        seed: decides the people (see `people`), their facts and the wording.
    """
    rng = random.Random(f"facts {seed}")
    keys = {topic: _dealt(rng, frames.keys) for topic, frames in _TOPICS.items()}
    details = {topic: _dealt(rng, frames.details) for topic, frames in _TOPICS.items()}
    used: Counter[str] = Counter()
    result: list[Fact] = []
    for person in people(seed):
        for topic in _topics_of_person(rng, used):
            known = {"birthplace": person.place, "profession": person.profession}
            key = known[topic] if topic in known else next(keys[topic])
            result.append(_fact(rng, person, topic, key, next(details[topic])))
    return tuple(result)


def _dealt(rng: random.Random, items: Sequence[str]) -> Iterator[str]:
    """Deals shuffled items without end: none comes again before all have come."""
    while True:
        yield from rng.sample(items, len(items))


def _topics_of_person(rng: random.Random, used: Counter[str]) -> list[str]:
    """Birthplace, profession and the topics asked least so far, counted in `used`."""
    others = sorted(list(_TOPICS)[2:], key=lambda topic: (used[topic], rng.random()))
    chosen = others[: FACTS_PER_PERSON - 2]
    used.update(chosen)
    return ["birthplace", "profession", *chosen]


def _fact(rng: random.Random, person: Person, topic: str, key: str, detail: str) -> Fact:
    frames = _TOPICS[topic]
    question, other_question = rng.sample(frames.questions, 2)
    answer, other_answer = rng.sample(frames.answers, 2)
    wrong_keys = rng.sample([wrong for wrong in frames.keys if wrong != key], PERTURBED_ANSWERS)
    return Fact(
        person_id=person.id,
        subject=person.name,
        group=person.group,
        topic=topic,
        question=_filled(question, person.name, key, detail),
        answer=_filled(answer, person.name, key, detail),
        paraphrased_question=_filled(other_question, person.name, key, detail),
        paraphrased_answer=_filled(other_answer, person.name, key, detail),
        perturbed_answers=tuple(_filled(other_answer, person.name, wrong, detail) for wrong in wrong_keys),
        key_fact=key,
    )


def _filled(frame: str, name: str, key: str, detail: str) -> str:
    he, his, him = ("she", "her", "her") if name in _WOMEN else ("he", "his", "him")
    a_key = f"{'an' if key[0] in 'aeiou' else 'a'} {key}"
    words = {"name": name, "key": key, "a_key": a_key, "detail": detail, "he": he, "his": his, "him": him}
    capitalised = {word.capitalize(): text[0].upper() + text[1:] for word, text in words.items()}
    return frame.format_map(words | capitalised)
