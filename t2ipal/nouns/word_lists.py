"""Lists of English words that the rules of `t2ipal.nouns.context` look for. They belong to no data set."""


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


DETERMINERS = _set(
    "a an the this that these those my your his her its our their another each every either some any "
    "several many few both all one two three four five six seven eight nine ten dozen 's"
)
# With these a singular before a plural makes a compound: "two bus stops".
SEVERAL = _set("these those several many few both all two three four five six seven eight nine ten dozen")
# Nouns hardly ever stand right before these, verbs do: "books a room", "bear with us".
ARTICLES_AND_OWNERS = _set("a an the my your his her its our their this these those")
SUBJECTS = _set("i he she we they you who")
PRONOUNS = SUBJECTS | _set("someone somebody anyone anybody everyone everybody people")
MODALS = _set(
    "can cannot can't could couldn't will won't would wouldn't shall should shouldn't must may might do "
    "don't does doesn't did didn't let's they'll he'll she'll we'll you'll i'll"
)
# "to" after these is a preposition of place, so that a thing follows: "next to bench".
PLACE_BEFORE_TO = _set(
    "next close near adjacent opposite attached tied chained connected belonging similar due thanks up "
    "down over back on onto in from parallel perpendicular leading going walking driving running clinging"
)
PERSONS = _set(
    "man woman boy girl child kid person guy lady gentleman teenager adult student worker player soldier "
    "officer farmer tourist teacher friend couple family crowd team mother father husband wife brother "
    "sister everyone someone men women boys girls children kids people guys ladies gentlemen teenagers "
    "adults students workers players soldiers officers farmers tourists teachers friends couples families "
    "crowds teams"
)

NEGATORS = _set("no without neither nor zero lacking minus")
# Words that may stand between a negator and its noun.
NEGATED_BETWEEN = _set("a an any the single other more visible real such")

COLOURS = _set(
    "red yellow green blue purple violet pink brown white grey gray black gold golden silver beige tan "
    "teal turquoise cream maroon navy orange"
)
# An adjective follows these, unless an article does: "is orange", "painted orange", "dressed in orange".
BEFORE_ADJECTIVE = _set(
    "is are was were be been being isn't aren't looks look looked turn turns turned turning seem seems "
    "glow glows glowing glowed paint painted coloured colored dyed in wearing wears bright dark light "
    "deep pale vivid neon burnt very quite so too more most all mostly partly"
)
# Parts that keep the thing in the picture: "orange slices".
PORTIONS = _set("slice half wedge segment piece peel quarter chunk tree")
# May be nouns elsewhere, but right after a noun they go on with the sentence.
AFTER_NOUN = _set(
    "next left right near inside outside front back on in at by to of off over under up down out with and "
    "or as cut set for from behind above below beside between among around across along through while "
    "near against lit fresh full ready alone together like than that which who where when"
)

# A noun before one of these says what it is for or made of, not what is there: "bus stop", "apple pie".
# Parts ("car door", "cat tail") are left out: with them the thing is in the picture.
HEADS_ELSEWHERE = _set(
    # places and works
    "station stop shop store stand stall court field lot lane rack ramp rink alley house museum school "
    "garage booth shelter track crossing lift slope lodge resort depot clinic club room rental barn "
    "stable coop kennel cage pen nest bath shed port yard path trail "
    # goods made for it or from it
    "paper juice pie bread sauce cider jam butter pudding smoothie oil milk meat food treat seed leather "
    "wool shake bun dough mix recipe ingredient flavour flavor crate box bag case cover holder hanger "
    "hook mat pad cutter slicer opener peeler cleaner polish brush powder mitt glove cap hat boot pole "
    "helmet uniform jersey costume mask suit outfit leash collar feeder trap repellent carrier seat print "
    "pattern logo sticker poster stamp emblem symbol emoji icon shape sound noise fare ticket pass "
    "schedule licence license insurance "
    # doings
    "game match season league tournament championship score team fan coach lesson class practice industry "
    "trade"
)
# The same in the plural, where the plural cannot well be a verb of the noun before it ("a bus stops").
PLURAL_HEADS_ELSEWHERE = _set("tracks boots poles tickets lessons shops fans")
# Whoever rides a thing shows it: "a motorcycle rider".
HEADS_WITH_IT = _set("rider riders passenger passengers herd pack flock pair")
# After a hyphen: the thing is there ("horse-drawn"). Any other tail makes another word ("cat-like").
TAILS_WITH_IT = _set(
    "drawn covered filled lined topped laden capped packed strewn pulled studded crowned loaded dotted "
    "riding walking clad bearing"
)
# Compounds that are no kind of what one of their words says. They use up their words, unless a vocabulary
# has them. Compounds that can be meant word by word ("white house") do not belong here.
OTHER_THINGS = _phrases(
    """
    ball bearing, ball gown, ball point, ball room, banana boat, banana split, bear market, bed of, bench
    press, bird of paradise, book end, book mark, book worm, bull frog, bull horn, bull market, bumper car,
    cable car, cable tie, cat fish, cat nap, cat walk, chair lift, clothes horse, corn dog, cotton ball,
    couch potato, cow bell, crab apple, crystal ball, disco ball, dog tag, electronic keyboard, eye ball,
    eye glass, fire alarm, fire ball, fire escape, fire extinguisher, fire fly, fire place, fire work,
    flower bed, fork in the road, fork lift, fruit bat, garden bed, gravy boat, guinea pig, gummy bear, hand
    plane, heat sink, hobby horse, honey moon, horse fly, horse power, horse shoe, hot dog, hour glass,
    jelly fish, jet black, jet lag, jet ski, jet stream, kite surfing, lady bird, lake bed, lion fish,
    looking glass, magnifying glass, match book, meat ball, moon light, mouse trap, nuclear plant, phone
    call, phone line, phone number, piano keyboard, pine apple, ping pong table, plane tree, pommel horse,
    pony tail, pool table, power plant, prairie dog, railroad tie, rice ball, river bed, rock band, rock
    climber, rock concert, rock music, rock star, rocking horse, scissor lift, sea bed, sea cow, sea horse,
    sea lion, sign language, ski lift, sky diver, sky light, snow ball, snow flake, snow man, star fish,
    street food, sun glass, sun hat, sun screen, table cloth, table tennis, teddy bear, tie break, tie dye,
    tie game, time table, tooth pick, train of thought, treatment plant, tuning fork, vampire bat, water
    color, water colour, water melon, water table, window shopping, world cup, wrecking ball, wrist watch,
    zip tie
    """
)
