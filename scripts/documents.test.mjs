/** Commands that documents name are there. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const inside = (folder, recursive = false) =>
  readdirSync(join(root, folder), { recursive })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(folder, name))
const examples = readdirSync(join(root, "examples")).map((name) => join("examples", name))
const documents = [...inside("."), ...inside("docs", true), ...examples.flatMap((folder) => inside(folder))]

const manifest = (folder) => JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"))

test("scripts_that_documents_name_are_there", () => {
  const named = documents.flatMap((document) =>
    [
      ...readFileSync(join(root, document), "utf8").matchAll(
        /npm (?:run ([\w:-]+)|(start|test))(?: --prefix ([\w/-]+))?/g
      )
    ].map(([text, script, short, folder = "."]) => ({ text: `${document}: ${text}`, script: script ?? short, folder }))
  )
  expect(named.length).toBeGreaterThan(20)
  const missing = named.filter(
    ({ folder, script }) => !existsSync(join(root, folder)) || manifest(folder).scripts?.[script] === undefined
  )
  expect(missing.map(({ text }) => text)).toEqual([])
})

test("examples_name_no_command_that_is_not_installed_beside_them", () => {
  const wrong = examples.filter(
    (folder) =>
      inside(folder).some((document) => readFileSync(join(root, document), "utf8").includes("npx mahalla")) &&
      manifest(folder).dependencies?.["@mahalla/cli"] === undefined
  )
  expect(wrong).toEqual([])
})
