"""Whether LaTeX will set, told without a TeX: braces close, mathematics ends, nothing special stands bare."""

import re

#: What a caption may use: floats, graphicx, and signs that every LaTeX has.
KNOWN = frozenset(
    (
        *("begin", "end", "centering", "caption", "label", "includegraphics"),
        *("ifdim", "else", "fi", "linewidth", "textheight", "allowbreak", "ldots"),
        *("textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar"),
        *("i", "j", "ss", "ae", "AE", "o", "O", "l", "L", "r", "u", "v", "c", "k", "H"),
        *("pm", "times", "cdot", "geq", "leq", "neq", "approx", "infty", "circ", "bullet"),
        *("rightarrow", "leftarrow", "leftrightarrow", "uparrow", "downarrow"),
        *("delta", "sigma", "lambda", "alpha", "mu"),
    )
)


def check_latex(latex):
    """Fail where a LaTeX of article and graphicx would stop, or set something else than was meant."""
    assert latex.isascii()
    body = "\n".join(line for line in latex.splitlines() if not line.startswith("%"))
    assert set(re.findall(r"\\([a-zA-Z]+)", body)) <= KNOWN
    bare = re.sub(r"~?\\%|\\[{}$&#_]", "", body)
    depth = 0
    for letter in bare:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    outside = re.sub(r"\$[^$]*\$", "", bare)
    outside = re.sub(r"\\includegraphics\[[^\]]*\]\{[^}]*\}|\\label\{[^}]*\}", "", outside)
    # Accents are commands of one sign; elsewhere these signs mean something to TeX.
    assert not re.search(r"[%&#_^~\"<>|]", re.sub(r"\\[\^~\"]", "", outside))
    opened = re.findall(r"\\(begin|end)\{(.*?)\}", body)
    assert opened[::2] == [("begin", name) for _, name in opened[1::2]]
