#!/usr/bin/env python3
"""Holds the tree to its own rules: `tree_check.py [ROOT]`, in ctest as `tree`.

Every rule is one function; its docstring says why it is there. A rule yields findings as (path, line, sentence).
`tree_check.py --self-test` shows on a small made-up tree that each rule finds what it is for, and nothing else.
"""
import json
import os
import re
import sys
import tempfile
from pathlib import Path

# What a folder of src/ may include besides itself. Left to right as in ARCHITECTURE.md.
STAGES = {"tcp", "ips", "firewall", "flow", "scan", "port", "service"}
BELOW = {"wire", "frame", "base"}
MAY_INCLUDE = {
    "base": set(), "wire": {"base"}, "frame": {"base"},
    "port": BELOW, "flow": BELOW, "firewall": BELOW, "ips": BELOW, "scan": BELOW, "tcp": BELOW,
    "service": BELOW | {"tcp"},
    "api": {"base"}, "doctor": {"base"}, "top": {"api", "base"}, "worker": BELOW | STAGES, "report": BELOW | STAGES | {"worker"}, "control": BELOW | STAGES | {"worker", "api", "report"}, "bench": BELOW | STAGES | {"worker"},
    "translate": BELOW | {"firewall"},
    "cli": BELOW | STAGES | {"worker", "report", "control", "bench", "translate", "api", "doctor", "top"},
}
# A port moves frames; of headers it knows how an address and a big-endian number look, and no more.
PORT_MAY_SEE = {"wire/ip_address.h", "wire/bytes.h"}
# Where DPDK's structures are handled. bench/ has programs of its own, which compare with it.
DPDK_PLACES = ("src/port/dpdk/", "bench/dpdk_")
# System headers with one door: pattern of the include -> beginnings of the paths that may have it.
ONE_DOOR = {r"linux/if_xdp\.h|linux/bpf\.h|bpf/.*": ("src/port/af_xdp/",), r"rte_.*": DPDK_PLACES}
HEAVY_HEADERS = {"regex", "iostream", "filesystem", "functional", "chrono"}
HEAVY_ALLOWED = {
    "src/control/replay.h": "a sink for each line; included by two files",
    "src/api/message.h": "what to do when a response is sent", "src/api/router.h": "the answerers are given",
    "src/api/http_server.h": "the answerer is given", "src/api/http_client.h": "the taker of a stream is given",
    "src/doctor/test_machine.h": "makes folders; included by tests only",
    "src/cli/commands.h": "the chosen sub-command; included by the commands only",
}
BANNED_NAMES = {"util", "utils", "common", "misc", "helper", "helpers", "manager", "core", "lib", "impl"}
BANNED_WORDS = {"mbuf", "skb", "mempool", "lcore", "fifo", "adapter", "acl", "batch", "session", "ctx", "stats", "pkt"}
NAMES_OF_OTHERS = {"XDP_FLAGS_SKB_MODE", "skb_prog_id"}  # the kernel's
NAMES_OF_DPDK = re.compile(r"rte_\w+|RTE_\w+|pkt_len|mbuf_data_room_size")
SCRIPTS = (".js", ".jsx", ".mjs")
FILE_LINES = 600
SCRIPT_LINES = 400
FUNCTION_LINES = 80
TEST_FUNCTION_LINES = 100  # a table of cases may run on
README_LINES = 40
# The burst path: whole files, or the named functions of files that also build tables at start.
BURST_PATH = {
    "src/worker/account_stage.cc": None, "src/worker/admit_stage.cc": None, "src/worker/decode_stage.cc": None,
    "src/worker/forward_stage.cc": None, "src/worker/steer_stage.cc": None, "src/worker/track_stage.cc": None,
    "src/worker/flow_admission.cc": None, "src/worker/pipeline.cc": None,
    "src/wire/decode.cc": None, "src/wire/checksum.cc": None, "src/wire/reply.cc": None,
    "src/flow/conntrack.cc": None, "src/flow/expiry_wheel.cc": None, "src/flow/flow_index.cc": None,
    "src/flow/flow_table.cc": {"find", "track", "insert", "prefetch", "erase", "expire"},
    "src/firewall/classifier.cc": {"classify", "decide", "find", "search"},
    "src/port/af_xdp/af_xdp_queue.cc": {"receive", "transmit", "refill"},
    "src/port/dpdk/dpdk_queue.cc": {"receive", "transmit", "transmit_burst"}, "src/port/dpdk/dpdk_pool.cc": {"take", "give", "give_one"},
}
FORBIDDEN_CALLS = {
    r"\bnew\b(?!\s*\()": "allocates", r"\b(?:m|c|re)alloc\s*\(": "allocates", r"\bstd::make_(?:unique|shared)\b": "allocates",
    r"\.(?:push_back|emplace_back|emplace|resize|reserve|append)\s*\(": "may allocate",
    r"\bstd::(?:string|vector|map|set|unordered_map|deque|list|function)\b(?!_view)": "owns memory",
    r"\bthrow\b": "throws", r"\b(?:std::)?(?:mutex|lock_guard|unique_lock|scoped_lock)\b": "locks",
    r"\b(?:std::)?(?:f|s|sn)?printf\s*\(": "formats text", r"\bfmt::|\bspdlog::": "formats text",
    r"\bstd::chrono\b|\bclock_gettime\s*\(": "reads a clock",
}
SKIP = re.compile(r"^(\.git|\.cache|build[^/]*|node_modules|__pycache__)$")
# What would let text become markup or code in the dashboard, or let it load something.
OPENS_THE_PAGE = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function\(|srcdoc|\bimport\("
ADDRESS = r"(?:https?:)?//[\w-]+\.\w"


class Tree:
    """The files of a repository, read once; paths are relative, with '/'."""

    def __init__(self, root):
        self.root = Path(root)
        self.paths = []
        self.texts = {}
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(f for f in folders if not SKIP.match(f))
            for name in sorted(files):
                self.paths.append((Path(folder) / name).relative_to(self.root).as_posix())

    def text(self, path):
        if path not in self.texts:
            self.texts[path] = (self.root / path).read_text(errors="replace")
        return self.texts[path]

    def exists(self, path):
        return (self.root / path).exists()

    def sources(self):
        return [p for p in self.paths if p.endswith((".cc", ".h", ".c")) and not p.startswith("tests/corpus/pf")]

    def code(self, path):
        """The text without comments and string contents, lines kept."""
        key = ("code", path)
        if key not in self.texts:
            self.texts[key] = strip(self.text(path))
        return self.texts[key]

    def includes(self, path):
        for number, line in enumerate(self.text(path).splitlines(), 1):
            found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if found:
                yield number, found.group(1), found.group(2)


def strip(text):
    """Blanks comments and the insides of literals."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"\((?:.*?)\)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-zA-Z])\'(?:\\.|[^\'\\\n])\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def functions(code):
    """(name, first line, lines) of the functions that end with a brace in column 0, as clang-format writes them."""
    lines = code.splitlines()
    start = None
    head = ""
    for i, line in enumerate(lines):
        if line.startswith("}") and start is not None:
            name = re.search(r"([~\w]+)\s*\(", head)
            yield (name.group(1) if name else "?"), start + 1, lines[start:i + 1]
            start, head = None, ""
        elif line and not line[0].isspace() and line[0] not in "#}" and start is None:
            head = line
            j = i
            while j < len(lines) - 1 and not re.search(r"[;{]\s*$", lines[j]) and j - i < 12:
                j += 1
            head = " ".join(lines[i:j + 1])
            one_line = lines[j].count("{") == lines[j].count("}") and "{" in lines[j]
            if lines[j].rstrip().endswith("{") and not one_line and "(" in head and \
                    not re.match(r"(namespace|class|struct|enum|union|extern|inline constexpr|constexpr auto|static const)\b", head):
                start = i


def include_direction(tree):
    """An include points only to the right, so that a folder can be read, tested and replaced without those that use it."""
    for path in tree.sources():
        parts = path.split("/")
        if parts[0] != "src" or len(parts) < 3:
            continue
        folder = parts[1]
        if folder not in MAY_INCLUDE:
            yield path, 1, f"src/{folder} has no place in the order of folders (MAY_INCLUDE)"
            continue
        for line, quote, name in tree.includes(path):
            if quote != '"':
                continue
            to = name.split("/")[0]
            if "/" not in name:
                if not path.endswith(".bpf.c"):
                    yield path, line, f'"{name}" must be written from src/: "{folder}/..."'
            elif to in MAY_INCLUDE and to != folder:
                if to not in MAY_INCLUDE[folder]:
                    yield path, line, f"{folder} must not include {name}"
                elif folder == "port" and to == "wire" and name not in PORT_MAY_SEE and not path.endswith("_test.cc"):
                    yield path, line, f"port knows frames, not headers: it must not include {name}"


def one_door(tree):
    """The kernel's and DPDK's ring headers are seen by one folder each, so that either can be left out of a build."""
    for path in tree.sources():
        for line, quote, name in tree.includes(path):
            for pattern, places in ONE_DOOR.items():
                if quote == "<" and re.fullmatch(pattern, name) and not path.startswith(places):
                    yield path, line, f"only {places[0]} may include <{name}>"


def light_headers(tree):
    """Heavy standard headers in a header are paid for in every file that includes it, and there are two cores."""
    for path in tree.sources():
        if not path.endswith(".h"):
            continue
        for line, quote, name in tree.includes(path):
            if quote == "<" and name in HEAVY_HEADERS and path not in HEAVY_ALLOWED:
                yield path, line, f"<{name}> does not belong in a header"


def dead_files(tree):
    """A file that nothing builds, includes, runs or links to is read by people and kept right by nobody."""
    included = {}
    for path in tree.sources():
        for _, quote, name in tree.includes(path):
            included.setdefault("src/" + name if "/" in name else os.path.dirname(path) + "/" + name, set()).add(path)
    builds = "\n".join(tree.text(p) for p in tree.paths
                       if p.endswith((".cmake", "CMakeLists.txt", ".sh", "Makefile", ".py")) or p == ".ci/run")
    imported = {os.path.normpath(os.path.join(os.path.dirname(p), name)) for p in tree.paths if p.startswith("web/") and p.endswith(SCRIPTS)
                for name in re.findall(r'(?:\bfrom|\bimport) "(\.[^"]+)"', tree.text(p))}
    pages = {p: tree.text(p) for p in tree.paths if p.endswith(".md")}
    for path in tree.paths:
        name = os.path.basename(path)
        if path.startswith("src/") and path.endswith(".h"):
            if not included.get(path, set()) - {path}:
                yield path, 1, "nothing includes this header"
        elif path.startswith("src/") and path.endswith(".cc"):
            module = "/".join(path.split("/")[:2])
            inner = path.split("/")[2:-1]
            cmake = tree.text(module + "/CMakeLists.txt") if tree.exists(module + "/CMakeLists.txt") else ""
            if "ringplane_module(" not in cmake or (inner and not re.search(rf"\b{re.escape(inner[0])}\b", cmake)):
                yield path, 1, f"{module}/CMakeLists.txt does not build this file"
        elif path.startswith("web/src/"):
            if path not in imported and not (tree.exists("web/build.mjs") and name in tree.text("web/build.mjs")):
                yield path, 1, "no other file of web/ imports this one"
        elif path.startswith("web/") and path.endswith((".html", ".mjs")):
            if path not in imported and not path.endswith(".test.mjs") and name not in builds:
                yield path, 1, "nothing builds or runs this file"
        elif path.endswith((".py", ".sh", ".cmake", ".bpf.c")):
            # CMake names a module without its ending, Python an import, and a list of labs the topic alone.
            stems = {name, name.removesuffix(".cmake"), name.removesuffix(".py").removesuffix("_test")}
            others = builds.replace(tree.text(path), "")
            # A comparison of bench/ is run by hand: its page says how.
            by_hand = path.startswith("bench/") and any(name in text for text in pages.values())
            if not by_hand and not any(re.search(rf"\b{re.escape(stem)}\b", others) for stem in stems):
                yield path, 1, "nothing runs this file"
        elif path.startswith("docs/") and path.endswith(".md"):
            targets = {os.path.normpath(os.path.join(os.path.dirname(page), link)) for page, text in pages.items()
                       if page != path for link in re.findall(r"\]\(([^)#\s]+)", text)}
            if path not in targets and os.path.dirname(path) not in targets:
                yield path, 1, "no page links to this one"


def sizes(tree):
    """A file or function that has outgrown a screen or two hides a noun that wants its own name."""
    for path in tree.paths:
        if path.startswith("web/") and path.endswith(SCRIPTS) and (count := tree.text(path).count("\n")) > SCRIPT_LINES:
            yield path, SCRIPT_LINES, f"{count} lines, more than {SCRIPT_LINES}"
    for path in tree.sources():
        count = tree.text(path).count("\n")
        if count > FILE_LINES:
            yield path, FILE_LINES, f"{count} lines, more than {FILE_LINES}"
        for name, line, lines in functions(tree.code(path)):
            limit = TEST_FUNCTION_LINES if path.endswith("_test.cc") else FUNCTION_LINES
            if len(lines) > limit:
                yield path, line, f"{name}() has {len(lines)} lines, more than {limit}"


def closed_page(tree):
    """What the dashboard shows was written by others, and its reader may be the administrator: text stays text, and nothing
    comes from elsewhere."""
    for path in tree.paths:
        if not path.startswith("web/src/") and path not in ("web/index.html", "web/absent.html"):
            continue
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            if found := re.search(OPENS_THE_PAGE, line):
                yield path, number, f"{found.group(0)} makes more of text than text"
            # Names of XML's vocabularies are no addresses, and nobody asks there.
            elif re.search(ADDRESS, line.replace("http://www.w3.org/2000/svg", "")) and not re.match(r"\s*(//|\*|/\*)", line):
                yield path, number, "the page must work without a connection to anywhere"


def names(tree):
    """A file named 'util' or 'manager' says nothing of what is in it, so everything ends up there."""
    for path in tree.paths:
        if path.startswith("tests/corpus/"):
            continue
        for part in path.split("/"):
            words = set(re.split(r"[._-]", part.lower()))
            for word in sorted(words & BANNED_NAMES):
                yield path, 1, f"'{word}' is no name for a file or folder"


def names_of_files(code):
    """(line, name) of what stands in unnamed namespaces: constants, types, and functions with their parameters."""
    inside = False
    lines = code.splitlines()
    for i, line in enumerate(lines):
        if re.match(r"namespace \{", line):
            inside = True
        elif line.startswith("}") and inside and not lines[i - 1].strip() and \
                not (i + 1 < len(lines) and lines[i + 1].strip()):
            inside = False
        if not inside or not line or not re.match(r"[A-Za-z\[]", line):
            continue
        thing = re.match(r"(?:alignas\(\d+\) )?(?:struct|class|enum class) (\w+)\b(?!;)", line) or \
            re.match(r"(?:inline |static |const |constexpr )+[^=({]*?\b(\w+)(?:\[\w*\])? ?(?:=|\{)", line)
        if thing:
            yield i + 1, thing.group(1)
            continue
        head = " ".join(lines[i:i + 8])
        function = re.match(r"[^=;{}()]*?[\w>&*] ?(?<![:\w])(\w+\((?:[^(){};]|\([^()]*\))*\))(?: noexcept)? \{", head)
        if function and not function.group(1).startswith(("TEST", "BENCHMARK")):
            yield i + 1, re.sub(r"\s+", " ", function.group(1))


def one_name(tree):
    """Sanitizer builds compile the files of a folder together (RINGPLANE_UNITY), and readers search for a name there."""
    seen = {}
    for path in tree.sources():
        if not path.startswith("src/") or not path.endswith(".cc") or path.endswith(("_bench.cc", "_fuzz.cc")):
            continue
        for line, name in names_of_files(tree.code(path)):
            first = seen.setdefault((os.path.dirname(path), path.endswith("_test.cc"), name), path)
            if first != path:
                yield path, line, f"{name} is also in {first}: two names, or one header"


def glossary(tree):
    """One word for one thing: ARCHITECTURE.md says which; a second word makes readers look for a second thing."""
    for path in tree.sources():
        for number, line in enumerate(tree.code(path).splitlines(), 1):
            if re.match(r"\s*#\s*include", line):
                continue
            for name in re.findall(r"[A-Za-z_]\w*", line):
                if path.startswith(DPDK_PLACES) and NAMES_OF_DPDK.fullmatch(name):
                    continue
                words = {w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}
                for word in sorted(words & BANNED_WORDS) if name not in NAMES_OF_OTHERS else []:
                    yield path, number, f"'{word}' in '{name}': see the glossary for the word we use"


def burst_path(tree):
    """On the burst path nothing allocates, locks, throws or formats: one such call per packet costs half the rate."""
    for path, only in BURST_PATH.items():
        if not tree.exists(path):
            yield path, 1, "is listed as burst path (BURST_PATH) but does not exist"
            continue
        code = tree.code(path)
        if only is None:
            parts = [(1, code.splitlines())]
        else:
            parts = [(line, lines) for name, line, lines in functions(code) if name in only]
            if not parts:
                yield path, 1, f"has none of the functions listed in BURST_PATH: {', '.join(sorted(only))}"
        for first, lines in parts:
            for offset, line in enumerate(lines):
                if line.lstrip().startswith("#"):
                    continue
                for pattern, what in FORBIDDEN_CALLS.items():
                    found = re.search(pattern, line)
                    if found:
                        yield path, first + offset, f"'{found.group(0).strip()}' {what}: not on the burst path"


def links(tree):
    """A broken link in a page is the first thing a newcomer meets."""
    for path in tree.paths:
        if not path.endswith(".md"):
            continue
        in_code = False
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            if line.startswith("```"):
                in_code = not in_code
            if in_code:
                continue
            for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
                if re.match(r"[a-z]+:|#", target):
                    continue
                to = os.path.normpath(os.path.join(os.path.dirname(path), target.split("#")[0]))
                if to.startswith("..") or not tree.exists(to):
                    yield path, number, f"the link to {target} leads nowhere"


def readmes(tree):
    """One short README per folder of src/, and for web/, says what the room is for; a long one is not read."""
    folders = sorted({"/".join(p.split("/")[:2]) for p in tree.paths if p.startswith("src/") and p.count("/") >= 2} |
                     {"web" for p in tree.paths if p.startswith("web/")})
    for folder in folders:
        path = f"{folder}/README.md"
        if not tree.exists(path):
            yield path, 1, "is missing: what is this folder for?"
        elif tree.text(path).count("\n") > README_LINES:
            yield path, README_LINES, f"has more than {README_LINES} lines"


def documented(tree, words, page, what):
    if not tree.exists(page):
        yield page, 1, f"is missing: it is to describe every {what}"
        return
    text = tree.text(page)
    for word in words:
        if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text):
            yield page, 1, f"does not describe the {what} '{word}'"


def config_keys(tree):
    """A key that the program reads and the reference does not name is a key that nobody can use."""
    path = "src/control/config.cc"
    if tree.exists(path):
        keys = re.findall(r'(?:\b(?:\w+\.)(?:text|flag|numbers?|texts|each|section)|\bsections)\(\s*"(\w+)"', tree.text(path))
        yield from documented(tree, dict.fromkeys(keys), "docs/reference/config.md", "configuration key")


def drop_reasons(tree):
    """Users meet drop reasons in logs and counters; the reference tells them what each means and what to do."""
    path = "src/base/drop_reason.h"
    if tree.exists(path):
        reasons = re.findall(r"^\s*X\((\w+),", tree.text(path), re.M)
        reasons = [r for r in reasons if r not in ("none", "name")]
        yield from documented(tree, reasons, "docs/reference/drop-reasons.md", "drop reason")


def show_fields(tree):
    """What `ringplane show --json` prints is an interface: other programs read it, so each field is described."""
    paths = [path for path in tree.paths if re.fullmatch(r"src/control/show\w*\.cc", path)]
    for text in map(tree.text, paths):
        fields = re.findall(r'\{"(\w+)",', text) + re.findall(r'\["(\w+)"\]\s*=', text)
        yield from documented(tree, dict.fromkeys(fields), "docs/reference/show.md", "field")


def api_routes(tree):
    """The API's description is what programs are written against: it names each route, and no other."""
    page = "docs/reference/openapi.json"
    routes = [path for path in tree.paths if re.fullmatch(r"src/control/\w*routes\.cc", path)]
    if not routes:
        return
    added = {("get" if verb == "get" else "post", path)
             for verb, path in re.findall(r'router_?\.(get|post|ask)\(\s*"([^"]+)"', "".join(map(tree.text, routes)))}
    described = {(verb, path) for path, verbs in json.loads(tree.text(page))["paths"].items() for verb in verbs
                 } if tree.exists(page) else set()
    for verb, path in sorted(added - described):
        yield page, 1, f"does not describe {verb.upper()} {path}"
    for verb, path in sorted(described - added):
        yield page, 1, f"describes {verb.upper()} {path}, which none of {', '.join(routes)} answers"


def metric_names(tree):
    """Dashboards and alerts of others name metrics: each is described."""
    path = "src/control/metrics.cc"
    if tree.exists(path):
        names = re.findall(r'"(ringplane_\w+)"', tree.text(path))
        yield from documented(tree, dict.fromkeys(names), "docs/reference/metrics.md", "metric")


RULES = [include_direction, one_door, light_headers, dead_files, sizes, closed_page, names, one_name, glossary, burst_path, links, readmes,
         config_keys, drop_reasons, show_fields, api_routes, metric_names]


def check(root):
    tree = Tree(root)
    return [(rule.__name__, *finding) for rule in RULES for finding in rule(tree)]


# --- the self-test ---------------------------------------------------------------------------------------------------

CLEAN = {
    "README.md": "See [the keys](docs/reference/config.md), [drops](docs/reference/drop-reasons.md#all), "
                 "[fields](docs/reference/show.md), [the web](https://example.org/).\n",
    "docs/reference/config.md": "| `rules` | the rules file |\n",
    "docs/reference/drop-reasons.md": "`rule_block`: a rule said so\n",
    "docs/reference/show.md": "`port`, `link`\n",
    "src/base/README.md": "base\n",
    "src/base/CMakeLists.txt": "ringplane_module(base)\n",
    "src/base/drop_reason.h": "#define REASONS(X) \\\n  X(none, \"\") \\\n  X(rule_block, \"a rule\")\n",
    "src/base/base.cc": '#include "base/drop_reason.h"\n// a new mbuf in a comment, and "throw" in a string: fine\n',
    "src/control/README.md": "control\n",
    "src/control/CMakeLists.txt": "ringplane_module(control DEPENDS base)\n",
    "src/control/config.cc": '#include "base/drop_reason.h"\nvoid f(S& s) {\n  s.text("rules", x);\n}\n',
    "src/control/show.cc": 'Json f() {\n  Json port{{"port", 1}};\n  port["link"] = 2;\n  return port;\n}\n',
    "web/README.md": "web\n",
    "web/CMakeLists.txt": "run(build.mjs index.html)\n",
    "web/build.mjs": 'build("main.jsx");\n',
    "web/index.html": "<svg xmlns='http://www.w3.org/2000/svg'>\n",
    "web/src/main.jsx": 'import { a } from "./a.js";\n// as at https://example.org/\n',
    "web/src/a.js": "export const a = 1;\n",
    "web/tests/a.test.mjs": 'import { a } from "../src/a.js";\n',
}


def burst_files():
    """The files of BURST_PATH, empty but for the functions that are looked at."""
    files = {}
    for path, only in BURST_PATH.items():
        files[path] = "".join(f"int {name}() {{\n  return 1;\n}}\n" for name in sorted(only or []))
        folder = "/".join(path.split("/")[:2])
        inner = path.split("/")[2:-1]
        files.setdefault(folder + "/README.md", "a room\n")
        previous = files.get(folder + "/CMakeLists.txt", "ringplane_module(x)\n")
        files[folder + "/CMakeLists.txt"] = previous + "".join(f"# {f}\n" for f in inner)
    return files


CASES = [
    ("include_direction", {"src/base/x.cc": '#include "wire/decode.h"\n'}),
    ("include_direction", {"src/flow/x.cc": '#include "firewall/classifier.h"\n'}),
    ("include_direction", {"src/port/pair/x.cc": '#include "wire/tcp.h"\n', "src/port/CMakeLists.txt":
                           "ringplane_module(port FOLDERS pair af_xdp)\n"}),
    ("include_direction", {"src/flow/x.cc": '#include "flow.h"\n'}),
    ("one_door", {"src/worker/x.cc": "#include <linux/if_xdp.h>\n"}),
    ("one_door", {"src/worker/x.cc": "#include <rte_ring.h>\n"}),
    ("one_door", {"bench/x.c": "#include <rte_ring.h>\n"}),
    ("light_headers", {"src/base/drop_reason.h": "#include <chrono>\n" + CLEAN["src/base/drop_reason.h"]}),
    ("dead_files", {"src/base/lonely.h": "#pragma once\n"}),
    ("dead_files", {"src/base/attic/x.cc": "int x;\n"}),
    ("dead_files", {"tests/lonely_test.py": "pass\n"}),
    ("dead_files", {"docs/guide/lonely.md": "nobody comes here\n"}),
    ("dead_files", {"web/src/lonely.js": "export const b = 1;\n"}),
    ("dead_files", {"web/other.html": "<p>\n"}),
    ("sizes", {"web/src/a.js": "f();\n" * (SCRIPT_LINES + 1)}),
    ("closed_page", {"web/src/a.js": "node.innerHTML = label;\n"}),
    ("closed_page", {"web/src/a.js": 'fetch("https://cdn.example/x.js");\n'}),
    ("closed_page", {"web/index.html": '<script src="//cdn.example/x.js"></script>\n'}),
    ("sizes", {"src/base/x.cc": "int x;\n" * (FILE_LINES + 1)}),
    ("sizes", {"src/base/x.cc": "void f(int a,\n       int b) {\n" + "  g();\n" * FUNCTION_LINES + "}\n"}),
    ("names", {"src/base/string_util.cc": "int x;\n"}),
    ("one_name", {f"src/base/{x}.cc": "namespace {\n\nconstexpr int kSize = 1;\n\n}  // namespace\n" for x in "xy"}),
    ("one_name", {f"src/base/{x}.cc": "namespace {\n\nint f(int a,\n      int b) {\n  return a;\n}\n\n}  // namespace\n"
                  for x in "xy"}),
    ("glossary", {"src/base/x.cc": "int mbuf_count = 0;\n"}),
    ("glossary", {"src/base/x.cc": "struct SessionTable {};\n"}),
    ("glossary", {"bench/x.c": "int rte_acl_x = 0;\n"}),
    ("burst_path", {"src/worker/track_stage.cc": "void f() {\n  g(std::string(x));\n}\n"}),
    ("burst_path", {"src/worker/pipeline.cc": "void f() {\n  auto* x = new int;\n}\n"}),
    ("burst_path", {"src/flow/flow_table.cc": "void FlowTable::find() {\n  list.push_back(1);\n}\n"}),
    ("burst_path", {"src/flow/flow_table.cc": "int unrelated() {\n  return 1;\n}\n"}),
    ("links", {"src/base/README.md": "[gone](../gone.md)\n"}),
    ("readmes", {"src/base/README.md": "a line\n" * (README_LINES + 1)}),
    ("readmes", {"src/base/README.md": None}),
    ("readmes", {"web/README.md": None}),
    ("config_keys", {"src/control/config.cc": 'void f(S& s) {\n  s.number("frames", x, 1, 2);\n}\n'}),
    ("config_keys", {"docs/reference/config.md": None, "README.md": ""}),
    ("drop_reasons", {"src/base/drop_reason.h": "#define REASONS(X) \\\n  X(rule_block_new, \"a rule\")\n"}),
    ("show_fields", {"src/control/show.cc": 'Json f() {\n  return {{"weight", 1}};\n}\n'}),
    ("api_routes", {"src/control/routes.cc": 'void f() {\n  router_.get("/v1/x", y);\n}\n'}),
    ("api_routes", {"src/control/routes.cc": "", "docs/reference/openapi.json": '{"paths": {"/v1/x": {"post": {}}}}'}),
    ("metric_names", {"src/control/metrics.cc": 'auto x = "ringplane_x_total";\n'}),
]


def findings_of(files):
    with tempfile.TemporaryDirectory(prefix="ringplane-tree-") as root:
        for path, text in files.items():
            if text is None:
                continue
            (Path(root) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(root) / path).write_text(text)
        return check(root)


def self_test():
    clean = burst_files() | CLEAN
    failures = [f"the clean tree has findings: {finding}" for finding in findings_of(clean)]
    for rule, change in CASES:
        if rule not in {found[0] for found in findings_of(clean | change)}:
            failures.append(f"{rule} did not notice {change}")
    for rule in RULES:
        if rule.__name__ not in {name for name, _ in CASES}:
            failures.append(f"{rule.__name__} has no case")
    for failure in failures:
        print(failure)
    print(f"{len(CASES)} cases, {len(failures)} failed")
    return 1 if failures else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    found = check(root)
    for rule, path, line, sentence in found:
        print(f"{path}:{line}: {sentence} [{rule}]")
    print(f"{len(found)} findings by {len(RULES)} rules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
