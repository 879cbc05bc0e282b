#!/usr/bin/python3
"""Classification by Ringplane against DPDK's rte_acl, on the same ClassBench sets and traces, in one run.

    bench/classify_against_dpdk.py [SET...] [--all] [--traces u x] [--rounds 5] [--seconds 0.3] [--json FILE]

Per set and trace, round after round: `ringplane bench classify`, then dpdk_classify (bench/dpdk_classify.c, compiled
here), both on the same processor, so that a busy neighbour falls on both alike. The ratio of a round is that of two
measurements beside each other. Both compare every answer with the trace's last column. rte_acl gets the fastest of its
algorithms, and the better of bursts of 128 and 256 headers, per trace.

rte_acl is built once per set. A build that takes longer than --build-timeout, or more memory than --memory-gib, is
listed as no build. Sets are looked for in the folder that the variable RINGPLANE_CLASSBENCH names, as `ringplane bench`
does; default ../shared/data/classbench, seen from the project's folder. --json keeps what the file has of other sets.
"""
import argparse
import json
import lzma
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEEDS = ("acl1", "acl3", "fw1", "fw3", "ipc1")
ALL_SETS = [f"{seed}_{size}" for size in ("1k", "10k", "100k") for seed in SEEDS]
DEFAULT_SETS = [name for name in ALL_SETS if not name.endswith("_100k")] + ["acl1_100k", "ipc1_100k"]


def compile_dpdk_classify(folder):
    flags = {what: shlex.split(subprocess.run(["pkg-config", what, "libdpdk"], check=True, text=True,
                                              stdout=subprocess.PIPE).stdout) for what in ("--cflags", "--libs")}
    program = folder / "dpdk_classify"
    subprocess.run(["cc", "-O3", *flags["--cflags"], "-march=native", "-o", program,
                    ROOT / "bench" / "dpdk_classify.c", *flags["--libs"]], check=True)
    return program


class DpdkClassify:
    """One set in rte_acl; waits, and measures when told to."""

    def __init__(self, options, program, files, cpu):
        memory_mib, max_size_mib = int(options.memory_gib * 1024), int(options.max_size_gib * 1024)
        self.process = subprocess.Popen(
            ["taskset", "-c", str(cpu), program, str(options.build_timeout), str(memory_mib), str(max_size_mib), *files],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.facts = json.loads(line) if line else {"no_build": f"dpdk_classify ended with {self.process.wait()}"}

    def measure(self, trace_number, seconds):
        print(trace_number, seconds, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def ringplane(options, name, trace, cpu):
    done = subprocess.run(["taskset", "-c", str(cpu), options.ringplane, "bench", "classify", "--rules", name, "--trace",
                           trace, "--repeat", "1", "--seconds", str(options.seconds)],
                          env=os.environ | {"RINGPLANE_CLASSBENCH": options.folder}, text=True, stdout=subprocess.PIPE)
    if not done.stdout:
        sys.exit(f"{options.ringplane} bench classify --rules {name} ended with {done.returncode}")
    return json.loads(done.stdout)  # exit code 1 with a document: mismatches, which are counted in it


def decompressed(options, folder, name):
    """The rules and the traces in `folder`, as plain text."""
    files = []
    for part in ("rules", *(f"{trace}.trace" for trace in options.traces)):
        packed = Path(options.folder) / f"{name}.{part}.xz"
        if not packed.exists():
            sys.exit(f"{packed} is missing; RINGPLANE_CLASSBENCH is to name the folder of the sets")
        files.append(folder / f"{name}.{part}")
        files[-1].write_bytes(lzma.decompress(packed.read_bytes()))
    return files


def spread(values):
    return {"median": round(statistics.median(values), 3), "low": round(min(values), 3), "high": round(max(values), 3)}


def measure_set(options, program, folder, name, cpu):
    files = decompressed(options, folder, name)
    dpdk = DpdkClassify(options, program, files, cpu)
    built = "no_build" not in dpdk.facts
    own, other, mismatches = ({trace: [] for trace in options.traces} for _ in range(3))
    facts = {}
    for _ in range(options.rounds):
        for number, trace in enumerate(options.traces):
            facts = ringplane(options, name, trace, cpu)
            own[trace].append(facts["mlookups_per_s"])
            mismatches[trace].append(facts["mismatches"])
            if built:
                other[trace].append(dpdk.measure(number, options.seconds))
    dpdk.stop()
    for file in files:
        file.unlink()
    result = {"rules": facts["rule_count"], "ringplane_bytes_per_rule": facts["bytes_per_rule"]}
    if built:
        result |= {"rte_acl_bytes_per_rule": round(dpdk.facts["table_bytes"] / dpdk.facts["rule_count"], 1),
                   "rte_acl_build_seconds": dpdk.facts["build_seconds"],
                   "rte_acl_build_mib": round(dpdk.facts["build_bytes"] / 2**20)}
    else:
        result["rte_acl_no_build"] = dpdk.facts["no_build"]
    for number, trace in enumerate(options.traces):
        row = {"ringplane_mlookups_per_s": spread(own[trace]), "ringplane_mismatches": max(mismatches[trace])}
        if built:
            of_trace = dpdk.facts["traces"][number]
            row |= {"rte_acl_mlookups_per_s": spread(other[trace]), "rte_acl_mismatches": of_trace["mismatches"],
                    "rte_acl_algorithm": of_trace["algorithm"], "rte_acl_burst": of_trace["burst"],
                    "ratio": spread([a / b for a, b in zip(own[trace], other[trace])])}
        result[trace] = row
    return result | {"rounds": options.rounds, "seconds": options.seconds, "load_before": options.load}


def text_of(values, form=".1f"):
    return f"{values['median']:{form}} ({values['low']:{form}}-{values['high']:{form}})"


def table(sets):
    lines = ["| set, trace | ringplane, M lookups/s | rte_acl | ratio | bytes a rule | of rte_acl | its build, s | mismatches |",
             "|---|---|---|---|---|---|---|---|"]
    for name, result in sets.items():
        for trace in [t for t in ("u", "p", "x") if t in result]:
            row = result[trace]
            if "ratio" in row:
                other = (text_of(row["rte_acl_mlookups_per_s"]), text_of(row["ratio"], ".2f"))
                memory = (f"{result['rte_acl_bytes_per_rule']:,.0f}", f"{result['rte_acl_build_seconds']:.1f}")
            else:
                other, memory = (f"no build: {result['rte_acl_no_build']}", ""), ("", "")
            wrong = f"{row['ringplane_mismatches']}, {row.get('rte_acl_mismatches', '-')}"
            lines.append("| " + " | ".join((f"{name}, {trace}", text_of(row["ringplane_mlookups_per_s"]), *other,
                                            f"{result['ringplane_bytes_per_rule']:.0f}", *memory, wrong)) + " |")
    return "\n".join(lines)


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    return f"{os.cpu_count()} processors ({model}), Linux {platform.release()}"


def read_options():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("sets", nargs="*", metavar="SET", help=f"default: {' '.join(DEFAULT_SETS)}")
    words.add_argument("--all", action="store_true", help="all fifteen sets")
    words.add_argument("--traces", nargs="+", choices=("u", "p", "x"), default=["u"])
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--seconds", type=float, default=0.3, help="of each measurement")
    words.add_argument("--build-timeout", type=int, default=60, help="seconds that rte_acl has for a set")
    words.add_argument("--memory-gib", type=float, default=14, help="address space of dpdk_classify, 2.1 of it its heaps")
    words.add_argument("--max-size-gib", type=float, default=0, help="rte_acl's own limit (max_size); default: none")
    words.add_argument("--ringplane", default=str(ROOT / "build" / "ringplane"), help="the program")
    words.add_argument("--json", help="write all numbers to this file")
    options = words.parse_args()
    options.sets = ALL_SETS if options.all else options.sets or DEFAULT_SETS
    options.folder = os.path.abspath(os.environ.get("RINGPLANE_CLASSBENCH") or ROOT.parent / "shared/data/classbench")
    options.load = os.getloadavg()[0]
    return options


def main():
    options = read_options()
    if subprocess.run(["pkg-config", "--exists", "libdpdk"]).returncode != 0:
        sys.exit("classify_against_dpdk: DPDK is missing; packaging/install-dependencies.sh build installs it")
    cpu = max(os.sched_getaffinity(0))
    report = {"sets": {}}
    if options.json and os.path.exists(options.json):
        report = json.loads(Path(options.json).read_text(encoding="utf-8"))
    dpdk = subprocess.run(["pkg-config", "--modversion", "libdpdk"], text=True, stdout=subprocess.PIPE).stdout.strip()
    report |= {"machine": machine(), "dpdk": dpdk}
    with tempfile.TemporaryDirectory(prefix="ringplane-classify-") as folder:
        program = compile_dpdk_classify(Path(folder))
        for name in options.sets:
            report["sets"][name] = measure_set(options, program, Path(folder), name, cpu)
            print(f"{name} done", file=sys.stderr)
            if options.json:  # after each set: the next may take long
                Path(options.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    known = sorted(report["sets"], key=lambda name: ALL_SETS.index(name) if name in ALL_SETS else len(ALL_SETS))
    report["sets"] = {name: report["sets"][name] for name in known}
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{report['machine']}; DPDK {dpdk}; load average before the run {options.load:.1f}\n")
    print(table(report["sets"]))
    wrong = sum(row.get("ringplane_mismatches", 0) + row.get("rte_acl_mismatches", 0)
                for result in report["sets"].values() for row in result.values() if isinstance(row, dict))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
