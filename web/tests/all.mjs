// Every *.test.mjs in one process: starting node for each takes longer than they do.
import { readdirSync } from "node:fs";

const here = new URL(".", import.meta.url);
for (const name of readdirSync(here).filter((each) => each.endsWith(".test.mjs"))) await import(new URL(name, here));
