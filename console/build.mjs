// Builds the console into the folder that is given, console/dist by default. The same sources give the same bytes.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "dist");

// The words of each failure come from the contract, so that the console says what the catalogue says.
function catalogue() {
  const text = readFileSync(join(here, "../proto/mailmesh/errors/v1/error_reason.proto"), "utf8");
  const words = {};
  for (const [, comment, reason] of text.matchAll(/((?: {2}\/\/.*\n)+) {2}ERROR_REASON_([A-Z_]+) = \d+;/g)) {
    const plain = comment.replace(/^ *\/\/ ?/gm, "");
    const found = /When: ([^]*?)\nDo: ([^]*?)\nSample: /.exec(plain);
    if (found) words[reason] = found.slice(1, 3).map((part) => part.replace(/\s+/g, " ").replace(/`/g, "").trim());
  }
  return words;
}

const words = {
  name: "catalogue",
  setup(into) {
    into.onResolve({ filter: /^catalogue$/ }, () => ({ path: "catalogue", namespace: "catalogue" }));
    into.onLoad({ filter: /.*/, namespace: "catalogue" }, () => ({ contents: JSON.stringify(catalogue()), loader: "json" }));
  },
};

const made = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx", style: "src/style.css" },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  charset: "utf8",
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
  outdir: out,
  write: false,
  plugins: [words],
  logLevel: "warning",
});

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const names = {};
for (const file of made.outputFiles) {
  const kind = file.path.endsWith(".css") ? "css" : "js";
  const digest = createHash("sha256").update(file.contents).digest("hex").slice(0, 16);
  names[kind] = `${kind === "css" ? "style" : "app"}-${digest}.${kind}`;
  writeFileSync(join(out, names[kind]), file.contents);
}
const page = readFileSync(join(here, "src/index.html"), "utf8");
writeFileSync(join(out, "index.html"), page.replace("APP", names.js).replace("STYLE", names.css));
