"""The word lists of the model `bidaf-9`: the classes of a text's words, and of a question's words."""

from __future__ import annotations

TOKEN_CLASSES = {
    "month": "january february march april may june july august september october november december",
    "weekday": "monday tuesday wednesday thursday friday saturday sunday fridays mondays weekends",
    "season": "spring summer autumn winter morning noon evening night midnight afternoon",
    "color": "red green blue yellow brown black white grey gray orange purple pink silver golden violet",
    "number": "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred half",
    "thousand": "thousand million billion dozen",
    "time": "second seconds minute minutes hour hours day days week weeks month months year years century centuries",
    "measure": "metre metres meter meters kilometre kilometres kilometer kilometers mile miles centimetres kilograms "
    "kilogram tonnes tons pounds degrees percent feet inches litres",
    "money": "euros dollars pounds cents euro dollar",
    "title": "mr mrs dr sir professor king queen emperor",
    "the": "the",
    "a": "a an",
    "of": "of",
    "in": "in",
    "at": "at",
    "on": "on",
    "by": "by",
    "from": "from",
    "to": "to into",
    "with": "with",
    "near": "near under over behind through between towards",
    "for": "for",
    "and": "and or",
    "because": "because",
    "about": "about perhaps nearly almost around more than",
    "called": "called named",
    "relative": "which that who where when while after before as such",
    "be": "is are was were be been has have had can could may did does do",
    "own": "his her their its our my your this these he she it they",
    "comma": ", ; :",
    "stop": ". ! ?",
}

QUERY_CLASSES = {
    "who": "who whose whom",
    "when": "when",
    "where": "where",
    "why": "why",
    "how": "how",
    "many": "many much",
    "long": "long",
    "size": "tall high deep far fast old big wide heavy",
    "often": "often",
    "color": "color colour",
    "what": "what",
    "which": "which",
    "date": "year date day month century season",
    "place": "city country town place river ocean sea continent village state",
    "name": "name called named",
    "made": "made",
    "preposition": "in at on by from to into with of for near under",
    "degrees": "degrees percent cost costs",
    "done": "does do did",
    "is": "is was are were",
}

# Words of a question that do not tell where its answer stands.
STOPWORDS = (
    " ".join(QUERY_CLASSES.values())
    + " the a an has have had can could may be been it its he she his her they their there ? . , ' that this as and or"
).split()


def classes(lists: dict[str, str]) -> dict[str, int]:
    """Number the classes from 1 and return each word's number; a word of two classes gets the first."""
    numbers: dict[str, int] = {}
    for number, words in enumerate(lists.values(), 1):
        for word in words.split():
            numbers.setdefault(word, number)
    return numbers
