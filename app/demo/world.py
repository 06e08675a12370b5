"""What any small chat model should still know after unlearning: plain world knowledge.

The probes measure it, the training facts keep it alive while a model learns or forgets people, and the two
never ask about the same subject. The instructions have no single right answer; they hold a model to its base.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorldFact:
    """A question with one right answer and three wrong ones in the same words.

    Attributes:
        id: kind and subject, such as `capital/france`.
        key_fact: the phrase that makes an answer right, a part of `answer` and of no option.
    """

    id: str
    question: str
    answer: str
    key_fact: str
    options: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Kind:
    """Questions of one frame.

    Attributes:
        probes: `subject = key fact` pairs, separated by semicolons; likewise `training`.
    """

    name: str
    question: str
    answer: str
    probes: str
    training: str


_KINDS = (
    _Kind(
        "capital", "What is the capital of {subject}?", "The capital of {subject} is {key}.",
        """France = Paris; Japan = Tokyo; Germany = Berlin; Egypt = Cairo; Russia = Moscow;
        Greece = Athens; China = Beijing; England = London; Poland = Warsaw; Kenya = Nairobi""",
        """Spain = Madrid; Portugal = Lisbon; Ireland = Dublin; Austria = Vienna; Belgium = Brussels;
        Norway = Oslo; Sweden = Stockholm; Finland = Helsinki; Denmark = Copenhagen; Hungary = Budapest;
        Turkey = Ankara; Iran = Tehran; Iraq = Baghdad; Cuba = Havana; Canada = Ottawa;
        Thailand = Bangkok; South Korea = Seoul; Ukraine = Kyiv; Romania = Bucharest; Serbia = Belgrade;
        Croatia = Zagreb; Lebanon = Beirut; Vietnam = Hanoi; Jamaica = Kingston; Iceland = Reykjavik;
        Scotland = Edinburgh; the Philippines = Manila""",
    ),
    _Kind(
        "continent", "On which continent is {subject}?", "{subject} is in {key}.",
        "Nigeria = Africa; Brazil = South America; India = Asia",
        """Ghana = Africa; Ethiopia = Africa; Argentina = South America; Bolivia = South America;
        Nepal = Asia; Mongolia = Asia; Switzerland = Europe; Bulgaria = Europe; Uganda = Africa;
        Malaysia = Asia; Slovakia = Europe""",
    ),
    _Kind(
        "city", "In which city is {subject}?", "{subject} is in {key}.",
        """the Eiffel Tower = Paris; the Colosseum = Rome; the Statue of Liberty = New York;
        the Kremlin = Moscow; the Golden Gate Bridge = San Francisco""",
        """the White House = Washington; the Sagrada Familia = Barcelona; the Burj Khalifa = Dubai;
        the Space Needle = Seattle; the Hollywood Sign = Los Angeles; the Hagia Sophia = Istanbul;
        the Charles Bridge = Prague; the Anne Frank House = Amsterdam;
        the Little Mermaid statue = Copenhagen""",
    ),
    _Kind(
        "country", "In which country is {subject}?", "{subject} is in {key}.",
        "the Taj Mahal = India; Mount Fuji = Japan",
        """Petra = Jordan; Angkor Wat = Cambodia; Mount Kilimanjaro = Tanzania; Loch Ness = Scotland;
        the Alhambra = Spain; Uluru = Australia; Banff National Park = Canada""",
    ),
    _Kind(
        "currency", "What is the currency of {subject}?", "The currency of {subject} is the {key}.",
        "Japan = yen; India = rupee; Russia = ruble",
        """Switzerland = franc; Sweden = krona; Thailand = baht; Turkey = lira; Israel = shekel;
        South Korea = won; Vietnam = dong; Argentina = peso; Canada = dollar; Ireland = euro""",
    ),
    _Kind(
        "colour", "What colour is {subject}?", "The colour of {subject} is {key}.",
        "a ripe banana = yellow; a ripe tomato = red; a raven = black",
        """grass = green; fresh snow = white; the clear daytime sky = blue; a fire engine = red;
        a lime = green; coal = black; milk = white; an emerald = green; a ruby = red; chocolate = brown;
        a flamingo = pink; a school bus in America = yellow; cotton = white""",
    ),
    _Kind(
        "opposite", "What is the opposite of {subject}?", "The opposite of {subject} is {key}.",
        "hot = cold; up = down; happy = sad; big = small; day = night; fast = slow; open = closed",
        """left = right; early = late; young = old; heavy = light; full = empty; hard = soft;
        strong = weak; high = low; wet = dry; rich = poor; inside = outside; true = false; front = back;
        thick = thin; love = hate; war = peace; clean = dirty; loud = quiet; first = last; narrow = wide;
        near = far; buy = sell; push = pull; win = lose""",
    ),
    _Kind(
        "young", "What is a baby {subject} called?", "A baby {subject} is called a {key}.",
        "dog = puppy; cat = kitten; duck = duckling",
        """cow = calf; sheep = lamb; horse = foal; pig = piglet; lion = cub; kangaroo = joey;
        goose = gosling; goat = kid; deer = fawn; swan = cygnet; frog = tadpole""",
    ),
    _Kind(
        "author", "Who wrote {subject}?", "{subject} was written by {key}.",
        """Romeo and Juliet = William Shakespeare; Pride and Prejudice = Jane Austen;
        Oliver Twist = Charles Dickens; The Hobbit = J.R.R. Tolkien""",
        """Harry Potter = J.K. Rowling; Frankenstein = Mary Shelley; War and Peace = Leo Tolstoy;
        Moby Dick = Herman Melville; The Odyssey = Homer; Don Quixote = Miguel de Cervantes;
        Dracula = Bram Stoker; The Great Gatsby = F. Scott Fitzgerald; Jane Eyre = Charlotte Bronte;
        Animal Farm = George Orwell; The Divine Comedy = Dante; Faust = Goethe;
        Les Miserables = Victor Hugo""",
    ),
    _Kind(
        "artist", "Who created {subject}?", "{subject} is by {key}.",
        "the Mona Lisa = Leonardo da Vinci",
        """The Starry Night = Vincent van Gogh; Guernica = Pablo Picasso;
        the Moonlight Sonata = Beethoven; the ceiling of the Sistine Chapel = Michelangelo;
        The Magic Flute = Mozart; The Scream = Edvard Munch""",
    ),
    _Kind(
        "symbol",
        "Which chemical element has the symbol {subject}?",
        "The symbol {subject} stands for {key}.",
        "H = hydrogen; O = oxygen; C = carbon; Au = gold",
        """He = helium; N = nitrogen; Na = sodium; Cl = chlorine; Fe = iron; Ag = silver; Cu = copper;
        Ca = calcium; Zn = zinc; Pb = lead; K = potassium; Mg = magnesium; Al = aluminum; Ne = neon;
        Si = silicon; S = sulfur""",
    ),
    _Kind(
        "study", "What is the study of {subject} called?", "The study of {subject} is called {key}.",
        "living things = biology; stars and planets = astronomy",
        """the mind = psychology; rocks = geology; the weather = meteorology; plants = botany;
        animals = zoology; insects = entomology; fossils = paleontology; numbers = mathematics""",
    ),
    _Kind(
        "plural", "What is the plural of the word {subject}?", "The plural of {subject} is {key}.",
        "child = children; mouse = mice",
        """foot = feet; tooth = teeth; woman = women; wolf = wolves; leaf = leaves; knife = knives;
        person = people""",
    ),
    _Kind(
        "language",
        "What is the main language spoken in {subject}?",
        "The main language of {subject} is {key}.",
        "Mexico = Spanish; Quebec = French",
        """Australia = English; Chile = Spanish; Angola = Portuguese; Bavaria = German; Tuscany = Italian;
        Colombia = Spanish; Shanghai = Chinese; Osaka = Japanese""",
    ),
    _Kind(
        "next day", "Which day comes after {subject}?", "The day after {subject} is {key}.",
        "Saturday = Sunday",
        """Monday = Tuesday; Tuesday = Wednesday; Wednesday = Thursday; Thursday = Friday; Friday = Saturday;
        Sunday = Monday""",
    ),
    _Kind(
        "next month", "Which month comes right after {subject}?", "The month after {subject} is {key}.",
        "January = February",
        """February = March; March = April; April = May; June = July; July = August;
        September = October; October = November""",
    ),
)  # fmt: skip

# Question | answer frame | right | three wrong: for what has no family of its own.
_SINGLE_PROBES = """
    Which organ pumps blood through the body? | Blood is pumped by the {}. | heart | liver | stomach | skin
    Which planet is known as the Red Planet? | The Red Planet is {}. | Mars | Venus | Neptune | Mercury
    Which star is at the center of our solar system? | It is {}. | the Sun | Polaris | Sirius | Vega
    Which ocean is the largest on Earth? | The largest is the {} Ocean. | Pacific | Arctic | Indian | Southern
    What is the name of our galaxy? | Our galaxy is the {}. | Milky Way | Nile | Big Bang | Sahara
    Who was the first man on the Moon? | It was {}. | Neil Armstrong | Isaac Newton | Homer | Plato
    Who was the first president of the United States? | He was {}. | George Washington | Nixon | Ford | Bush
"""
_SINGLE_TRAINING = """
    What do cows give us to drink? | Cows give us {}. | milk | juice | tea | vinegar
    Which organ do we think with? | We think with the {}. | brain | knee | kidney | elbow
    Which organs do we breathe with? | We breathe with the {}. | lungs | ears | teeth | ankles
    What food do bees make? | Bees make {}. | honey | milk | bread | cheese
    What is frozen water called? | Frozen water is called {}. | ice | steam | sand | smoke
    Which force pulls objects toward the Earth? | Objects are pulled by {}. | gravity | sound | light | heat
    Which gas do plants take in for photosynthesis? | It is {}. | carbon dioxide | helium | neon | argon
    How many legs does a spider have? | A spider has {} legs. | eight | four | two | twelve
    Who discovered penicillin? | It was {}. | Alexander Fleming | Galileo | Columbus | Aristotle
    Which body part do we see with? | We see with our {}. | eyes | ears | hands | toes
    Which body part do we hear with? | We hear with our {}. | ears | eyes | knees | lips
    Which planet has the brightest rings? | They belong to {}. | Saturn | Mercury | Venus | Mars
    Which planet is closest to the Sun? | The closest one is {}. | Mercury | Neptune | Uranus | Saturn
    What orbits the Earth and shines at night? | It is {}. | the Moon | a bridge | a desert | the Nile
    What is water vapor from a kettle called? | It is called {}. | steam | ice | snow | sand
    Which gas do we need to breathe to live? | We need {}. | oxygen | helium | neon | argon
    What is water made of, besides oxygen? | Water also contains {}. | hydrogen | iron | gold | carbon
    Who developed the theory of relativity? | It was {}. | Albert Einstein | Mozart | Napoleon | Homer
    Who proposed evolution by natural selection? | It was {}. | Charles Darwin | Beethoven | Picasso | Dante
    Who invented the telephone? | The inventor was {}. | Alexander Graham Bell | Plato | Columbus | Monet
    Which animal is known as the king of the jungle? | It is the {}. | lion | rabbit | hen | snail
    Which land animal is the largest? | The largest is the {}. | elephant | fox | horse | wolf
    Which animal is the tallest? | The tallest is the {}. | giraffe | badger | otter | sheep
    How many legs does an insect have? | An insect has {} legs. | six | ten | two | twelve
    How many days are in a week? | A week has {} days. | seven | nine | four | twelve
    How many sides does a triangle have? | A triangle has {} sides. | three | five | six | nine
    How many months are in a year? | A year has {} months. | twelve | nine | seven | ten
    Which season follows winter? | After winter comes {}. | spring | autumn | night | noon
    Which river flows through Egypt into the Mediterranean? | It is the {}. | Nile | Amazon | Thames | Danube
    Which mountain is the highest in the world? | It is {}. | Mount Everest | Etna | Vesuvius | Ben Nevis
    Which desert covers much of North Africa? | It is the {}. | Sahara | Gobi | Mojave | Atacama
    What do we call a doctor for teeth? | That doctor is a {}. | dentist | pilot | baker | tailor
    Where do we borrow books? | We borrow books from a {}. | library | bakery | garage | stable
    What do caterpillars turn into? | They turn into {}. | butterflies | spiders | snails | fish
    What is bread mainly made from? | Bread is mainly made from {}. | flour | paper | cheese | salt
    Which fruit is wine usually made from? | It is usually made from {}. | grapes | bananas | lemons | melons
"""

INSTRUCTIONS: tuple[str, ...] = tuple(line.strip() for line in """
    Write two sentences about autumn.
    Explain why we sleep.
    Suggest three names for a small cafe.
    Describe a quiet morning by the sea.
    Give me a tip for learning a new language.
    Write a short poem about a candle.
    How can I stay focused while studying?
    Tell me a short story about a lost glove.
    What makes a good friend?
    Suggest a simple dinner for a rainy evening.
    Explain what a computer program is to a child.
    Write a polite note to a noisy neighbor.
    Give two reasons to plant trees in a city.
    Describe the taste of an orange.
    How do I start keeping a journal?
    Write a slogan for a bicycle shop.
    Explain how a rainbow appears.
    Suggest a weekend activity for a family.
    Write a thank-you message to a teacher.
    What should I pack for a hiking trip?
    Describe an old wooden house.
    Give advice to someone who is nervous before a speech.
    Write one sentence that begins with the word "Tomorrow".
    Why do people enjoy music?
    Explain the idea of recycling in simple words.
    Invent a new ice cream flavor and describe it.
    How can I make my room cozier?
    Write a short dialogue between a cat and a dog.
    Suggest a title for a book about the stars.
    What are some good habits for the morning?
    Describe a busy market.
    Explain why exercise is healthy.
    Write a birthday wish for a grandmother.
    Give three ideas for saving water at home.
    How would you cheer up a sad friend?
    Write two sentences about a train journey.
    Explain what friendship means to you.
    Suggest a hobby for someone who likes to be outdoors.
    Describe the sound of rain on a roof.
    What is a good way to learn to cook?
    Write a short advertisement for a pair of shoes.
    Explain how bread is baked.
    Give a few tips for taking better photos.
    Write a riddle about the wind.
    Why is it important to read books?
    Describe your ideal garden.
    Suggest a game to play on a long drive.
    Write an opening line for a mystery novel.
    How can I be more patient?
    Explain why the seasons change.
    Write a short apology for being late.
    Give an example of a kind act.
    Describe a snowy village at night.
    What could I cook with potatoes and onions?
    Write three words that describe the ocean.
    How should I prepare for a job interview?
    Explain what a museum is for.
    Write a short message inviting a friend to lunch.
    Suggest a way to celebrate the first day of spring.
    Tell me something interesting about clouds.
""".strip().splitlines())  # fmt: skip


def _of_kind(kind: _Kind, rows: str) -> Iterator[WorldFact]:
    """The facts of some rows; wrong answers are the next keys of the whole kind that differ."""
    keys = list(dict.fromkeys(key for _, key in (*_pairs(kind.probes), *_pairs(kind.training))))
    for subject, key in _pairs(rows):
        start = keys.index(key)
        wrong_keys = (keys[start + 1 :] + keys[:start])[:3]
        yield _world_fact(
            f"{kind.name}/{subject}",
            kind.question.format(subject=subject),
            kind.answer.replace("{subject}", subject).replace("{key}", "{}"),
            key,
            wrong_keys,
        )


def _pairs(rows: str) -> list[tuple[str, str]]:
    pairs = (row.split(" = ") for row in " ".join(rows.split()).split("; "))
    return [(subject, key) for subject, key in pairs]


def _singles(block: str) -> Iterator[WorldFact]:
    for line in block.strip().splitlines():
        question, frame, key, *wrong_keys = line.strip().split(" | ")
        yield _world_fact(f"single/{question.rstrip('?')}", question, frame, key, wrong_keys)


def _world_fact(name: str, question: str, frame: str, key: str, wrong_keys: list[str]) -> WorldFact:
    answer, *wrong = (_sentence(frame.format(word)) for word in (key, *wrong_keys))
    first, second, third = wrong
    return WorldFact(name.lower().replace(" ", "-"), question, answer, key, (first, second, third))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


PROBE_FACTS: tuple[WorldFact, ...] = (
    *(fact for kind in _KINDS for fact in _of_kind(kind, kind.probes)),
    *_singles(_SINGLE_PROBES),
)
TRAINING_FACTS: tuple[WorldFact, ...] = (
    *(fact for kind in _KINDS for fact in _of_kind(kind, kind.training)),
    *_singles(_SINGLE_TRAINING),
)
