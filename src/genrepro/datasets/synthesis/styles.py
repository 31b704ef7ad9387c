"""Declare the styles of ten genres. This module has data only, no code.

Each style is written in the notation of `notation`. It says how fast, in which metre, what the drummer plays,
what each part plays over which chords, and how loud. The composer reads it and the artist varies it. The
rhythms are from textbooks: four-on-the-floor, one-drop, train beat, shuffle, swing ride, I-V-vi-IV,
twelve-bar blues.
"""

from collections.abc import Mapping

from genrepro.datasets.synthesis.notation import Part, Style

MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
MIXOLYDIAN = (0, 2, 4, 5, 7, 9, 10)
PHRYGIAN = (0, 1, 3, 5, 7, 8, 10)
DORIAN = (0, 2, 3, 5, 7, 9, 10)
BLUES_SCALE = (0, 3, 5, 6, 7, 10)
PENTATONIC = (0, 2, 4, 7, 9)

# Each genre borrows from the genres that listeners and classifiers confuse it with.
NEIGHBOURS: Mapping[str, tuple[str, ...]] = {
    "blues": ("jazz", "rock"),
    "classical": ("jazz",),
    "country": ("rock", "blues"),
    "disco": ("pop",),
    "hiphop": ("reggae", "pop"),
    "jazz": ("blues", "classical"),
    "metal": ("rock",),
    "pop": ("disco", "rock"),
    "reggae": ("hiphop", "disco"),
    "rock": ("metal", "country"),
}

TWELVE_BAR = "I7 I7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7"
QUICK_CHANGE = "I7 IV7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7"
MINOR_BLUES = "i7 i7 i7 i7 iv7 iv7 i7 i7 bVI7 V7 i7 V7"

STYLES: Mapping[str, Style] = {
    "blues": Style(
        tempo=(74, 122),
        grooves=(
            {"kick": "X.....X.....", "snare": "...X.....X..", "hat": "x.xx.xx.xx.x"},
            {"kick": "X....xX....x", "snare": "...X.....X..", "ride": "x.xx.xx.xx.x"},
            {"kick": "X.....X..x..", "snare": "...X..o..X.o", "hat": "xxxxxxxxxxxx"},
        ),
        bass=(
            Part(
                instruments=("fingered", "upright"),
                patterns=("1-.1-.3-.5-.", "1-.3-.5-.6-.", "1-11-15-55-5", "1-.5-.6-.5-."),
                register=31,
                level=-3,
            ),
        ),
        chords=(
            Part(
                instruments=("crunch", "clean", "piano"),
                patterns=("X-.x-.X-.x-.", "..x..x..x..x", "X-xX-xX-xX-x"),
                register=47,
                level=-9,
            ),
            Part(
                instruments=("organ", "piano"),
                patterns=("X-----------", "..x-----x..."),
                register=55,
                level=-15,
            ),
        ),
        lead=(
            Part(
                instruments=("harmonica", "crunch", "clean"),
                patterns=("m-mm-mm-----", "..mm-m......", "m--m-mm-mm--", "............"),
                register=64,
                level=-6,
            ),
        ),
        progressions=(TWELVE_BAR, QUICK_CHANGE, MINOR_BLUES),
        scale=BLUES_SCALE,
        form="vvvvvvvvvvvvcccccccccccc",
    ),
    "classical": Style(
        tempo=(62, 126),
        metres=(4, 3),
        grooves=({},),
        bass=(
            Part(
                instruments=("cello", "strings", "piano"),
                patterns=("1-----------", "1-----5-----", "1--5--8--5--", "1---5---3---"),
                register=36,
                level=-5,
            ),
        ),
        chords=(
            Part(
                instruments=("piano", "harp", "harpsichord"),
                patterns=("1-3-5-8-5-3-", "135853135853", "1.5.3.5.8.5.", "X--.5.8.5.3."),
                register=52,
                level=-6,
            ),
            Part(instruments=("strings",), patterns=("X-----------", "X-----x-----"), register=52, level=-9),
        ),
        lead=(
            Part(
                instruments=("violin", "flute", "piano", "oboe"),
                patterns=("m--m--m-----", "m-----mmmmm-", "mmmmmmm-----", "m--------m-m"),
                register=67,
                level=-5,
            ),
        ),
        progressions=(
            "I V vi iii IV I IV V",
            "i iv V i bVI iv V i",
            "I ii V I vi ii V I",
            "i bVII bIII iv V i",
        ),
        scale=MAJOR,
        dynamics=7.0,
        form="vvvvccccvvvvbbbbcccc",
    ),
    "country": Style(
        tempo=(92, 138),
        grooves=(
            {"kick": "X.......X.......", "rim": "....X.......X...", "hat": "..x...x...x...x."},
            {"kick": "X.......X.......", "brush": "oxoXoxoXoxoXoxoX"},
            {"kick": "X.......X.x.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
        ),
        bass=(
            Part(
                instruments=("upright", "fingered"),
                patterns=("1---....5---....", "1---....5---..a.", "1---1...5---5..."),
                register=31,
                level=-3,
            ),
        ),
        chords=(
            Part(
                instruments=("steel", "steel", "clean"),
                patterns=("....x-......x-..", "..x-x-x...x-x-x-", "X...x-x.X...x-xx"),
                register=50,
                level=-6,
            ),
            Part(
                instruments=("banjo", "steel"),
                patterns=("1358531813585318", "5.8.1358.3.51358"),
                register=57,
                level=-10,
            ),
        ),
        lead=(
            Part(
                instruments=("fiddle", "clean", "harmonica"),
                patterns=("m---m-m-m-------", "m-m-m---m-m-m---", "....m-m-m-------", "................"),
                register=64,
                level=-6,
            ),
        ),
        progressions=("I IV V I", "I I IV IV V V I I", "I V IV I", "I vi IV V"),
        scale=PENTATONIC,
        swing=0.04,
    ),
    "disco": Style(
        tempo=(110, 130),
        grooves=(
            {"kick": "X...X...X...X...", "openhat": "..x...x...x...x.", "snare": "....X.......X..."},
            {
                "kick": "X...X...X...X...",
                "openhat": "..x...x...x...x.",
                "hat": "x.x.x.x.",
                "clap": "....X.......X...",
            },
            {
                "kick": "X...X...X...X...",
                "hat": "xx.xxx.xxx.xxx.x",
                "openhat": "..x...x...x...x.",
                "clap": "....X.......X.xx",
            },
        ),
        bass=(
            Part(
                instruments=("fingered", "synthbass"),
                patterns=("1.8.1.8.1.8.1.8.", "1.8.1.815.8.7.81", "1..11.8.1..15.8."),
                register=33,
                level=-2,
            ),
        ),
        chords=(
            Part(
                instruments=("clean", "rhodes"),
                patterns=("x.xxx.xxx.xxx.xx", "..x...xx..x...x.", "x..x..x.x..x..x."),
                register=55,
                level=-10,
            ),
            Part(
                instruments=("strings", "pad"),
                patterns=("X---------------", "X-------..x-x---"),
                register=60,
                level=-11,
            ),
        ),
        lead=(
            Part(
                instruments=("brass", "strings", "squarelead"),
                patterns=("m-..m-..m-m-m---", "m---------------", "......m-m-m-m---", "................"),
                register=65,
                level=-8,
            ),
        ),
        progressions=("i7 iv7 i7 V7", "ii7 V7 Imaj7 vi7", "i7 bVII bVImaj7 V7", "i7 i7 iv7 iv7"),
        scale=MINOR,
    ),
    "hiphop": Style(
        tempo=(76, 104),
        grooves=(
            {"kick": "X.....x...X.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "X..X......X..X..", "clap": "....X.......X...", "hat": "x.x.x.xxx.x.xxxx"},
            {"kick": "X......X..X.....", "snare": "....X..o.o..X...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "X.........X.x...", "clap": "........X.......", "hat": "xxx.xxx.xxx.xxxx"},
        ),
        bass=(
            Part(
                instruments=("sub808", "sub808", "synthbass"),
                patterns=("1-----1---1-----", "1--1------1--5--", "1---------------"),
                register=29,
                level=2,
            ),
        ),
        chords=(
            Part(
                instruments=("rhodes", "piano", "pad"),
                patterns=("X-------........", "X-----x-........", "..x-....x---...."),
                register=52,
                level=-11,
            ),
        ),
        lead=(
            Part(
                instruments=("bell", "squarelead", "flute"),
                patterns=("m.....m...m.....", "m-m-............", "................"),
                register=67,
                level=-13,
            ),
        ),
        progressions=("i7 i7 iv7 i7", "i bVI", "i7 bVII", "ii7 V7"),
        scale=MINOR,
        swing=0.05,
        drum_level=2.0,
    ),
    "jazz": Style(
        tempo=(104, 196),
        grooves=(
            {"ride": "x.xxx.xx", "pedal": "..x...x.", "kick": "o.o.o.o.", "snare": "...o..o."},
            {"ride": "x.xxx.xx", "pedal": "..x...x.", "snare": ".....o.o"},
            {"brush": "xoXoxoXo", "pedal": "..x...x.", "kick": "o......."},
        ),
        bass=(
            Part(
                instruments=("upright",),
                patterns=("1-3-5-a-", "1-5-3-a-", "8-7-5-a-", "1-3-5-6-"),
                register=31,
                level=-3,
            ),
        ),
        chords=(
            Part(
                instruments=("piano", "clean", "rhodes"),
                patterns=("x--.....", "...x-...", ".x....x-", "x..x....", "........"),
                register=52,
                level=-9,
            ),
        ),
        lead=(
            Part(
                instruments=("sax", "trumpet", "piano", "clean"),
                patterns=("mmmmmm..", ".mmm.mm-", "m--m-m--", "mmmmmmmm", "........"),
                register=62,
                level=-4,
            ),
        ),
        progressions=(
            "ii7 V7 Imaj7 vi7",
            "Imaj7 vi7 ii7 V7",
            "i7 iv7 bVII7 bIIImaj7",
            "I7 I7 I7 I7 IV7 IV7 I7 VI7 ii7 V7 I7 V7",
        ),
        scale=DORIAN,
        swing=1 / 6,
        drum_level=-4.0,
        dynamics=3.0,
    ),
    "metal": Style(
        tempo=(132, 190),
        # The cymbals never rest, and the snare is half as frequent as in rock, or eight times.
        grooves=(
            {"clickkick": "xxxxxxxxxxxxxxxx", "snare": "........X.......", "crash": "x...x...x...x..."},
            {"clickkick": "x.xxx.xxx.xxx.xx", "snare": "....X.......X...", "ride": "x.x.x.x.x.x.x.x."},
            {"clickkick": "x.x.x.x.x.x.x.x.", "snare": ".x.x.x.x.x.x.x.x", "crash": "x.......x......."},
            {"clickkick": "X..xX..xX..xX.xx", "snare": "........X.......", "openhat": "x...x...x...x..."},
        ),
        bass=(
            Part(
                instruments=("pickbass",),
                patterns=("1.1.1.1.1.1.1.1.", "1111111111111111", "1.111.111.111.11"),
                register=25,
                level=-3,
            ),
        ),
        chords=(
            Part(
                instruments=("highgain",),
                patterns=("X---------------", "X-----X-----X---", "X-------X---X---", "X-x-X---x-X-X---"),
                register=37,
                level=-4,
                voicing="power",
            ),
            Part(
                instruments=("palmmute",),
                patterns=("x.xxx.xxx.xxx.xx", "xxxxxxxxxxxxxxxx", "xx.xx.xx.xx.x.x.", "x..xx..xx..xx.xx"),
                register=37,
                level=-4,
                voicing="power",
            ),
        ),
        lead=(
            Part(
                instruments=("distorted", "highgain"),
                patterns=("mmmmmmmmmmmmmmmm", "m---m---m-m-m---", "................", "................"),
                register=64,
                level=-8,
                sections="cb",
            ),
        ),
        progressions=("i i bVI bVII", "i bII i bVII", "i bVI bII i", "i bIII bVII bVI"),
        scale=PHRYGIAN,
        drum_level=4.0,
    ),
    "pop": Style(
        tempo=(94, 130),
        grooves=(
            {"kick": "X...X...X...X...", "clap": "....X.......X...", "shaker": "x.xxx.xxx.xxx.xx"},
            {"kick": "X.....X.X.....x.", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "X..X..X.X..X..X.", "clap": "....X.......X...", "hat": "..x...x...x...x."},
        ),
        bass=(
            Part(
                instruments=("synthbass", "fingered"),
                patterns=("1.1.1.1.1.1.1.1.", "1-----1-1-----1-", "..1...1...1...1."),
                register=33,
                level=-3,
            ),
        ),
        chords=(
            Part(
                instruments=("sawpad", "piano", "rhodes"),
                patterns=("X-------x-------", "X--x--x-X--x--x-", "x.x.x.x.x.x.x.x."),
                register=55,
                level=-8,
            ),
            Part(
                instruments=("synthpluck", "clean"),
                patterns=("1.5.8.5.1.5.8.5.", "8.5.3.8.5.3.8.5."),
                register=64,
                level=-10,
            ),
        ),
        lead=(
            Part(
                instruments=("sawlead", "squarelead", "bell"),
                patterns=("m-m-m---m-m-m---", "..m-m-m-m---....", "m---m---m-m-m-m-", "................"),
                register=67,
                level=-7,
            ),
        ),
        progressions=("I V vi IV", "vi IV I V", "I vi IV V", "IV I V vi"),
        scale=MAJOR,
    ),
    "reggae": Style(
        tempo=(66, 92),
        grooves=(
            {"kick": "........X.......", "rim": "........X.......", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "........X.......", "snare": "........X.....o.", "hat": "..x...x...x...xx"},
            {"kick": "X...X...X...X...", "rim": "...x..x.....x..x", "hat": "..x...x...x...x."},
        ),
        bass=(
            Part(
                instruments=("fingered", "sub808"),
                patterns=("1--1..3-5---....", "....1-1-3-5-..1-", "1---..5-1-3-....", "1--1--5-......8-"),
                register=28,
                level=1,
            ),
        ),
        chords=(
            Part(
                instruments=("clean", "piano"),
                patterns=("..X...X...X...X.", "..Xx..Xx..Xx..Xx"),
                register=55,
                level=-5,
            ),
            Part(
                instruments=("organ",),
                patterns=(".xx..xx..xx..xx.", "..x-..x-..x-..x-"),
                register=57,
                level=-11,
            ),
        ),
        lead=(
            Part(
                instruments=("brass", "organ", "flute"),
                patterns=("m-m-m-..........", "......m-m-m-m---", "................"),
                register=65,
                level=-9,
            ),
        ),
        progressions=("I IV I V", "i bVII", "i iv", "I ii V I"),
        scale=MIXOLYDIAN,
        swing=0.06,
    ),
    "rock": Style(
        tempo=(104, 152),
        grooves=(
            {"kick": "X.......X.x.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "X.....x.X.......", "snare": "....X.......X...", "openhat": "x...x...x...x..."},
            {"kick": "X.x.....X.x...x.", "snare": "....X.......X...", "ride": "x.x.x.x.x.x.x.x."},
        ),
        bass=(
            Part(
                instruments=("pickbass", "fingered"),
                patterns=("1.1.1.1.1.1.1.1.", "1---..1-1---..5-", "1.1.1.1.5.5.1.1."),
                register=31,
                level=-3,
            ),
        ),
        chords=(
            Part(
                instruments=("crunch", "crunch", "crunch", "distorted"),
                patterns=("X---x-x-X---x-x-", "X.x.x.x.X.x.x.x.", "X-------..x-x---"),
                register=43,
                level=-5,
                voicing="power",
            ),
            Part(
                instruments=("steel", "organ", "clean"),
                patterns=("x-x-x-xxx-x-x-xx", "X---------------"),
                register=52,
                level=-12,
            ),
        ),
        lead=(
            Part(
                instruments=("crunch", "clean"),
                patterns=("m---m-m-m-------", "m-m-m-m-m---m---", "................", "................"),
                register=64,
                level=-7,
                sections="cb",
            ),
        ),
        progressions=("I bVII IV I", "I IV V IV", "vi IV I V", "i bVI bVII i"),
        scale=PENTATONIC,
        drum_level=3.0,
    ),
}

GENRES = tuple(sorted(STYLES))
