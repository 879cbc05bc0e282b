#!/usr/bin/python3
"""ringplane.toml(5) out of docs/reference/config.md, so that there is one place to change: from_reference.py FILE.md

Understands what that page uses: #, ##, ### headings, paragraphs, tables with a header, indented code, `code`, links."""
import re
import sys

HEAD = """.\\" Made from docs/reference/config.md by packaging/man/from_reference.py: change that.
.Dd November 28, 2026
.Dt RINGPLANE.TOML 5
.Os
.Sh NAME
.Nm ringplane.toml
.Nd configuration of ringplane
.Sh DESCRIPTION"""
TAIL = """.Sh SEE ALSO
.Xr pf.conf 5 ,
.Xr ringplane 8"""


def inline(text):
    """Words of the page as words of roff: no markup, nothing that roff takes for its own."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = text.replace("\\", "\\e").replace("`", "")
    text = re.sub(r"-", r"\\-", text)
    return re.sub(r"^([.'])", r"\\&\1", text)


def sentences(text):
    """Each on a line of its own, as man pages have it."""
    return "\n".join(inline(part) for part in re.split(r"(?<=[^A-Z.][.:]) (?=[A-Z`])", text))


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def table(rows):
    """A table's rows as a tagged list: the first cell, then the others."""
    header, _, *body = [cells(row) for row in rows]
    out = [".Bl -tag -width indent"]
    for row in body:
        out.append(f".It Sy {inline(row[0])}")
        if len(row) == 4:
            out.append(inline(f"{row[1]}; default: {row[2]}."))
            out.append(".br")
        else:
            assert len(row) == 2, (header, row)
        out.append(sentences(row[-1][:1].upper() + row[-1][1:] if not row[-1].startswith("`") else row[-1]) + ".")
    return out + [".El"]


def page(markdown):
    out = [HEAD]
    # The title is ours already.
    blocks = re.split(r"\n\n+", markdown.strip())[1:]
    for block in blocks:
        lines = block.split("\n")
        if match := re.match(r"(#+) (.*)", lines[0]):
            macro = ".Sh" if len(match[1]) == 2 else ".Ss"
            name = inline(match[2])
            out.append(f"{macro} {name.upper() if macro == '.Sh' and '[' not in name else name}")
            lines = lines[1:]
            if not lines:
                continue
        if lines[0].startswith("|"):
            out += table(lines)
        else:
            if not out[-1].startswith((".Sh", ".Ss", HEAD[:4])):
                out.append(".Pp")
            out.append(sentences(" ".join(lines)))
    out.append(TAIL)
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(page(file.read()), end="")
