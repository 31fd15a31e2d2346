// Which way imports may run; docs/architecture.md draws the same picture in words. `scripts/gates.test.mjs` shows that every rule fires.
const { existsSync, readdirSync, readFileSync } = require("node:fs")
const { join } = require("node:path")

const tests = "[.]test[.][a-z]+$|/src/test/"
const core = "^packages/core/src"
const ours = "^(packages|examples|bench|scripts)/"

/** A port's or plugin contract's types must survive Effect's minor releases: its sources say which modules promise that. */
const effect = join(__dirname, "node_modules/effect/src")
const stable = existsSync(effect)
  ? readdirSync(effect)
      .filter((file) => file.endsWith(".ts") && file !== "index.ts")
      .filter((file) => /@stability (\w+)/.exec(readFileSync(join(effect, file), "utf8"))?.[1] === "stable")
      .map((file) => file.slice(0, -3))
  : []

const only = (name, comment, from, allowed) => ({
  name,
  comment,
  severity: "error",
  from: { path: from, pathNot: tests },
  to: { path: ours, pathNot: allowed }
})
const never = (name, comment, from, to) => ({ name, comment, severity: "error", from, to })

module.exports = {
  forbidden: [
    only("ports", "A port imports nothing of ours.", `${core}/ports/`, `${core}/ports/`),
    only("plugin-contract", "The plugin contract imports ports.", `${core}/plugin/`, `${core}/(plugin|ports)/`),
    only(
      "kernel",
      "The kernel imports ports and the plugin contract.",
      `${core}/kernel/`,
      `${core}/(kernel|plugin|ports)/`
    ),
    only(
      "module-contract",
      "What a module author gets comes from the kernel, the plugin contract and the ports.",
      `${core}/module[.]ts$`,
      `${core}/(kernel|plugin|ports)/`
    ),
    only(
      "modules",
      "A module imports kernel, ports and contracts, and another module only through its index.ts.",
      `${core}/modules/([^/]+)/`,
      [
        `${core}/(kernel|plugin|ports)/`,
        `${core}/module[.]ts$`,
        `${core}/modules/$1/`,
        `${core}/modules/[^/]+/index[.]ts$`
      ]
    ),
    only(
      "testing",
      "The published test kit imports kernel, ports and the plugin contract.",
      `${core}/testing/`,
      `${core}/(testing|kernel|plugin|ports)/`
    ),
    only("core-alone", "Core imports nothing but itself; tests may use plugins.", `${core}/`, `${core}/`),
    only(
      "plugins-see-the-contract",
      "A plugin imports @mahalla/core/plugin and itself: no other plugin, no module.",
      "^packages/plugins/([^/]+)/",
      ["^packages/plugins/$1/", `${core}/plugin/index[.]ts$`]
    ),
    never(
      "plugin-tests-see-the-kit",
      "A plugin's tests may import @mahalla/core/testing beside what the plugin may.",
      { path: "^packages/plugins/([^/]+)/.*" + `(${tests})` },
      { path: ours, pathNot: ["^packages/plugins/$1/", `${core}/(plugin|testing)/index[.]ts$`, "^scripts/"] }
    ),
    only("server", "The server imports core and plugins.", "^packages/server/", [
      "^packages/server/",
      `${core}/`,
      "^packages/plugins/"
    ]),
    only("cli", "The CLI imports server and core; plugins reach it through the server.", "^packages/cli/", [
      "^packages/cli/",
      `${core}/`,
      "^packages/server/"
    ]),
    never(
      "verifier-alone",
      "The verifier of the audit log shares no code with what it judges: Node's crypto and files, and nothing else.",
      { path: "^packages/cli/src/audit/", pathNot: tests },
      { pathNot: ["^packages/cli/src/audit/", "^(node:)?(crypto|fs)$"] }
    ),
    never(
      "front-door",
      "Another package is imported by its name, never by a path into its folder.",
      { path: "^packages/(plugins/[^/]+|[^/]+)/" },
      { path: "^packages/", pathNot: "^packages/$1/", dependencyTypes: ["local"] }
    ),
    never(
      "tests-stay-outside",
      "Nothing imports a test or a test's helper except tests.",
      { path: "^(packages|examples)/", pathNot: tests },
      { path: tests }
    ),
    never(
      "effect-modules",
      'Import the module, as in `import * as Effect from "effect/Effect"`: the barrel loads all of Effect.',
      {},
      { path: "node_modules/(effect|@effect/platform-node)/dist/index[.]" }
    ),
    never(
      "stable-contracts",
      "Ports and the plugin contract use only modules that Effect marks stable, so that no minor release breaks a plugin.",
      { path: `${core}/(ports|plugin)/`, pathNot: tests },
      { pathNot: [`${core}/`, `node_modules/effect/dist/(${stable.join("|")})[.]`] }
    ),
    never("no-circles", "Two files that need each other are one file, or three.", {}, { circular: true }),
    never("resolvable", "An import that cannot be found hides from every other rule.", {}, { couldNotResolve: true })
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(packages|examples)/.*/dist/|^scripts/third-party/" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["@mahalla/source", "types", "import", "node", "default"],
      mainFields: ["module", "main"]
    }
  }
}
