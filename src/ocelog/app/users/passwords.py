"""Which passwords will do: long ones that nobody guesses from what is known of their user, of Ocelog, or of people."""

import re
import unicodedata

from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase, translatable
from ocelog.secrets.secret import Secret

LEAST_PASSWORD = 12
"""Characters. NIST SP 800-63B asks for length, and for no mixture of kinds."""
LONGEST_PASSWORD = 1_024
_LEFT = 6
"""So many different characters must be left without what is easily guessed."""
_PRODUCT = ("ocelog", "wiz")
# The words of which lists of leaked passwords are mostly made, also in Korean, and so typed on a Latin keyboard.
_WORDS = """
    password passwort passw pass secret geheim letmein welcome willkommen changeme change default login admin
    administrator root user guest test temp demo master security secure cloud server system company office hello
    iloveyou love monkey dragon football baseball sunshine princess superman batman shadow trustno starwars summer
    winter spring autumn january february march april june july august september october november december monday
    friday sunday google amazon korea seoul 비밀번호 관리자 암호 사랑해 qlalfqjsgh rhksflwk dkagh tkfkdgo
""".split()  # noqa: SIM905 - 80 words are read as a text
_ROWS = (
    *("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "azertyuiop"),
    *("!@#$%^&*()_+", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "1q2w3e4r5t6y7u8i9o0p"),
)
_RUN = 3
"""So many neighbours of an alphabet or a keyboard make a run."""
_LOOKS_LIKE = [str.maketrans("013457@$!|", letters) for letters in ("oleastasll", "oieastasii")]
"""What people write in the place of letters, of which some stand for either of two."""
_TODO = translatable("Take another one: four random words do well.")


def check_password(password: Secret, name: str) -> None:
    """Raise ConfigError for a password that will not do for the user of that name. No message holds a part of it."""
    text = password.reveal()
    if not LEAST_PASSWORD <= len(text) <= LONGEST_PASSWORD:
        raise ConfigError(
            Phrase(
                "A password has %(least_password)s to %(longest_password)s characters; this one has "
                "%(length)s. Four random words do well.",
                least_password=LEAST_PASSWORD,
                longest_password=format(LONGEST_PASSWORD, ","),
                length=format(len(text), ","),
            )
        )
    why = _weakness(unicodedata.normalize("NFKC", text).casefold(), name)
    if why is not None:
        raise ConfigError(Phrase("%(why)s %(todo)s", why=why, todo=Phrase(_TODO)))


def _weakness(text: str, name: str) -> Phrase | None:
    if _repeats(text):
        return Phrase("This password repeats one piece, and is easily guessed.")
    known = {
        Phrase("This password is mostly the name of its user."): _pieces(text, _names(name)),
        Phrase("This password is mostly the name of a product."): _pieces(text, _PRODUCT),
        Phrase("This password is mostly made of words that many people use."): _pieces(text, _WORDS),
        Phrase("This password is mostly a run such as 1234, abcd or qwerty, a year, or one character many times."): (
            _runs(text) | _found(r"(?:19|20)\d\d", text) | _found(r"(.)\1{2,}", text)
        ),
    }
    guessed = set[int]().union(*known.values())
    left = {each for at, each in enumerate(text) if at not in guessed and not each.isspace()}
    if len(left) >= _LEFT:
        return None
    why = max(known, key=lambda each: len(known[each]))
    return why if guessed else Phrase("This password has too few different characters.")


def _repeats(text: str) -> bool:
    """Tell whether it is one piece two times or more, of which the last may be cut short."""
    return any(text[each:] == text[:-each] for each in range(1, len(text) // 2 + 1))


def _names(name: str) -> list[str]:
    """Return the parts of a user's name, such as an e-mail address."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return [each for each in (folded, *re.split(r"[\W_]+", folded)) if len(each) >= _RUN]


def _pieces(text: str, words: "tuple[str, ...] | list[str]") -> set[int]:
    """Return where the words stand in a text, also written with digits and signs in the place of letters."""
    found = set[int]()
    for written in (text, *(text.translate(each) for each in _LOOKS_LIKE)):
        for word in words:
            at = written.find(word)
            while at >= 0:
                found |= set(range(at, at + len(word)))
                at = written.find(word, at + 1)
    return found


def _runs(text: str) -> set[int]:
    found = set[int]()
    for at in range(len(text) - _RUN + 1):
        piece = text[at : at + _RUN]
        if any(piece in row or piece[::-1] in row for row in _ROWS):
            found |= set(range(at, at + _RUN))
    return found


def _found(pattern: str, text: str) -> set[int]:
    return {at for each in re.finditer(pattern, text) for at in range(*each.span())}
