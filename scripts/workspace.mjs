// What the other scripts need to know about this workspace.
import { existsSync, readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"

export const root = join(import.meta.dirname, "..")

/** Folders with a package.json, relative to the root. */
export const packageFolders = ["packages", "packages/plugins", "examples"]
  .filter((parent) => existsSync(join(root, parent)))
  .flatMap((parent) => readdirSync(join(root, parent)).map((name) => `${parent}/${name}`))
  .filter((folder) => existsSync(join(root, folder, "package.json")))

export const manifest = (folder) => JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"))

export const publicPackages = packageFolders
  .filter((folder) => folder.startsWith("packages/"))
  .map((folder) => ({ folder, ...manifest(folder) }))
  .filter((entry) => entry.private !== true)

/** Every file below a folder, relative to it, with `/` on every platform. Never inside node_modules: its links run in circles. */
export const filesIn = (folder) =>
  !existsSync(folder)
    ? []
    : readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
        if (entry.isFile()) return [entry.name]
        if (!entry.isDirectory() || entry.name === "node_modules") return []
        return filesIn(join(folder, entry.name)).map((file) => `${entry.name}/${file}`)
      })

/** SQL, models, texts: what the code reads at run time and the compiler does not carry. */
export const isData = (file) => !/\.(ts|tsx|md)$|^test\/|\.test\./.test(file)

/** A program of the workspace's own dependencies. */
export const bin = (name) => join(root, "node_modules", ".bin", process.platform === "win32" ? `${name}.cmd` : name)
