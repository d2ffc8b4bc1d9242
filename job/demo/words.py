"""The vocabulary of the demo's reviews, common words first: positions are weights, so the last ones are rare.

Kept apart from the grammar because it is data.  The tails of the two adjective lists are words that a model sees only a few
times, which is one of the reasons why the demo does not score 100 %.
"""

from __future__ import annotations

POSITIVE = (
    "good great excellent lovely wonderful solid pleasant charming superb fantastic delightful impressive enjoyable brilliant "
    "comfortable reliable beautiful generous fresh elegant clever warm memorable flawless friendly crisp thoughtful splendid "
    "inviting sturdy vivid graceful refined dependable gorgeous captivating soothing luminous exquisite nimble sumptuous "
    "heartening peerless immaculate rousing deft winsome resplendent sterling beguiling"
).split()

NEGATIVE = (
    "bad poor terrible awful boring disappointing weak dull horrible cheap unpleasant slow clumsy dirty annoying broken noisy "
    "bland careless ugly tedious flimsy stale rude confusing uncomfortable mediocre sloppy shabby dreadful lifeless cramped "
    "overpriced unreliable tasteless grating soggy murky joyless brittle abysmal wretched insipid shoddy turgid rancid dismal "
    "lacklustre execrable vapid"
).split()

PRAISE = "loved enjoyed liked adored recommend appreciated admired treasured cherished savoured".split()
BLAME = "hated disliked regretted avoided despised returned resented loathed dreaded deplored".split()

INTENSIFIERS = "very really quite so extremely truly rather absolutely remarkably thoroughly".split()
DIMINISHERS = "a bit|slightly|somewhat|a little|mildly|a touch".split("|")
NEGATIONS = "not|never|hardly|not at all|far from|anything but|not remotely".split("|")
CONTRASTS = "but|yet|although in the end|still,|and even so".split("|")
CONCESSIONS = "although|even though|while|despite the fact that".split("|")

ASPECTS = {
    "film": "plot|acting|ending|soundtrack|dialogue|lead actor|pacing|camera work|script|supporting cast|second half|opening scene",
    "restaurant": "soup|service|menu|dessert|wine list|waiter|atmosphere|main course|bread|view|kitchen|table by the window",
    "hotel": "room|breakfast|bed|reception|location|bathroom|pool|staff|lobby|air conditioning|balcony|shuttle to the airport",
    "kettle": "handle|lid|spout|finish|heating element|switch|packaging|manual|cord|design|base|temperature display",
    "book": "story|prose|first chapter|narrator|characters|cover|translation|final twist|setting|argument|index|last third",
    "game": "controls|graphics|story mode|music|tutorial|level design|difficulty|menus|multiplayer|save system|voice acting",
}

NEUTRAL = (
    "we went there on a {day} with {people}",
    "i bought the {thing} in {month} after reading about it for weeks",
    "it was the {nth} {thing} of this kind that we tried",
    "my sister had told me about it in {month}",
    "the {aspect} is where i will start",
    "there is also the matter of the {aspect}",
    "i should say that i am no expert on the {aspect}",
    "it took {number} days until the {aspect} came up in conversation",
    "for {number} euros you know roughly what you will get",
    "people keep asking me about the {aspect}, so here it is",
    "on the {nth} day it rained and we had time to look at the {aspect}",
    "this is a note about the {thing} and about nothing else",
)

DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
MONTHS = "january february march april may june july august september october november december".split()
PEOPLE = "my parents|two friends|the children|a colleague|my brother|the whole team|nobody else|our neighbours".split("|")
ORDINALS = "first second third fourth fifth".split()
