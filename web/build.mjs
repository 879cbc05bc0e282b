// web/ into three files: node build.mjs NODE_MODULES OUT. Packages come from NODE_MODULES; their licences, which want to go
// wherever their code goes, stand at the head of the script.
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [packages, out] = process.argv.slice(2).map((path) => resolve(path));
const { build } = createRequire(join(packages, "x.js"))("esbuild");

const bundled = ["preact", "uplot"];
const licences = bundled.map((name) => `${name}\n\n${readFileSync(join(packages, name, "LICENSE"), "utf8").trim()}`);

mkdirSync(out, { recursive: true });
await build({
  entryPoints: { app: join(here, "src", "main.jsx") },
  outdir: out,
  nodePaths: [packages],
  bundle: true,
  minify: true,
  legalComments: "inline",
  banner: { js: `/*!\n${licences.join("\n\n")}\n*/` },
  charset: "utf8",
  format: "iife",
  target: ["chrome116", "firefox124", "safari17.4"],
  jsx: "automatic",
  jsxImportSource: "preact",
  logLevel: "warning",
});
copyFileSync(join(here, "index.html"), join(out, "index.html"));
