"""Plain text as LaTeX that every engine sets: special characters escaped, signs beyond ASCII as commands."""

import unicodedata

#: A word longer than this may be broken behind these, as nothing else breaks a path or the name of a model.
_LONGEST, _JOINTS = 20, "/_.:\\"

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
}
#: Signs that captions use, in the fonts that every LaTeX has.
_SIGNS = {
    "–": "--",
    "—": "---",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "←": r"$\leftarrow$",
    "↔": r"$\leftrightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "∞": r"$\infty$",
    "²": r"$^{2}$",
    "³": r"$^{3}$",
    "°": r"$^{\circ}$",
    "δ": r"$\delta$",
    "σ": r"$\sigma$",
    "λ": r"$\lambda$",
    "α": r"$\alpha$",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "\u00a0": "~",
    "\u2009": r"\,",
    "\u202f": r"\,",
    "●": r"$\bullet$",
    "○": r"$\circ$",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
}
#: Combining marks: the command of the accent.
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
    "\u0328": "k",
}


def escape_latex(text: str) -> str:
    r"""Write plain text as LaTeX in ASCII.

    Letters that no command stands for, as those of other scripts, become their code: [U+4E2D]. Long words, such as
    paths, may be broken behind a slash, a dot or an underscore.

    Args:
        text: Any text.

    Returns:
        LaTeX of the text mode.

    Examples:
        >>> print(escape_latex("95 % of a_b ≥ 3 → café – R²"))
        95~\% of a\_b $\geq$ 3 $\rightarrow$ caf\'{e} -- R$^{2}$
    """
    return " ".join(_write_word(word) for word in text.split()).replace(r" \%", r"~\%")


def _write_word(word: str) -> str:
    is_long = len(word) > _LONGEST
    return "".join(
        _write(letter) + (r"\allowbreak{}" if is_long and letter in _JOINTS else "") for letter in word
    )


def _write(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if letter in _SIGNS:
        return _SIGNS[letter]
    if letter.isascii():
        return letter if letter.isprintable() else ""
    base, *marks = list(unicodedata.normalize("NFD", letter))
    if base.isascii() and len(marks) == 1 and marks[0] in _ACCENTS:
        stem = {"i": r"\i", "j": r"\j"}.get(base, base)
        return f"\\{_ACCENTS[marks[0]]}{{{stem}}}"
    plain = unicodedata.normalize("NFKC", letter)
    if plain != letter and plain.isascii():
        return "".join(_write(part) for part in plain)
    return f"[U+{ord(letter):04X}]"
