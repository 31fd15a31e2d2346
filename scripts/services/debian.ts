/**
 * Programs that tests and `mahalla dev` need beside Node, on Debian and its children. `packages.json` says which packages bring them.
 *
 * A program on PATH is taken as it is. Otherwise root installs the packages; an ordinary user downloads them with apt and unpacks
 * them into `.cache/debian` of the repository, where small wrappers make them run. Nothing asks the network when everything is there.
 */
import { randomUUID } from "node:crypto"
import { accessSync, constants, existsSync, readFileSync } from "node:fs"
import { mkdir, readdir, rename, rm } from "node:fs/promises"
import { delimiter, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { run } from "./run.ts"
import { unpack } from "./unpack.ts"

interface Entry {
  readonly packages: ReadonlyArray<string>
  readonly programs: ReadonlyArray<string>
  /** Below the service's root; for packages whose programs may be there without them. */
  readonly files?: ReadonlyArray<string>
  /** Where a program stands whose launcher on PATH knows only the system's own folders. */
  readonly at?: Readonly<Record<string, string>>
}

export interface Service {
  /** Absolute path of each program; it can be started as it is. */
  readonly programs: Readonly<Record<string, string>>
  /** Where the packages' files stand: `/`, or the folder they were unpacked into. */
  readonly root: string
}

const repository = fileURLToPath(new URL("../..", import.meta.url))
const entries: Readonly<Record<string, Entry>> = JSON.parse(
  readFileSync(new URL("packages.json", import.meta.url), "utf8")
)

/** A program that is not there and could not be brought. */
export class MissingProgram extends Error {
  override readonly name = "MissingProgram"
}

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const inFolders = (folders: ReadonlyArray<string>, programs: ReadonlyArray<string>) => {
  const found = programs.map((program) => folders.map((folder) => join(folder, program)).find(isProgram))
  return found.every((path) => path !== undefined)
    ? Object.fromEntries(programs.map((program, index) => [program, found[index] as string]))
    : undefined
}

const onPath = (programs: ReadonlyArray<string>) =>
  inFolders([...(process.env["PATH"] ?? "").split(delimiter).filter(Boolean), "/usr/sbin", "/sbin"], programs)

const install = ["install", "--yes", "--no-install-recommends", "--option", "DPkg::Lock::Timeout=600"]
const quiet = { DEBIAN_FRONTEND: "noninteractive" }

/** Another apt-get may be fetching the lists: their lock, unlike the packages', has no waiting time of its own. */
const update = async () => {
  for (let left = 20; ; left--) {
    try {
      return await run("apt-get", ["update"], quiet)
    } catch (error) {
      if (left === 0 || !(error instanceof Error && error.message.includes("lock"))) throw error
      await sleep(3000)
    }
  }
}

const installAsRoot = async (packages: ReadonlyArray<string>) => {
  const attempt = () => run("apt-get", [...install, ...packages], quiet)
  await attempt().catch(() => update().then(attempt))
}

const downloadAndUnpack = async (entry: Entry, target: string) => {
  const work = `${target}.${randomUUID()}`
  const cache = join(work, "cache")
  const lists = join(work, "lists")
  await mkdir(join(cache, "archives", "partial"), { recursive: true })
  await mkdir(join(lists, "partial"), { recursive: true })
  const options = ["Debug::NoLocking=1", `Dir::Cache=${cache}`].flatMap((option) => ["--option", option])
  const own = ["--option", `Dir::State::lists=${lists}`]
  const download = [...options, ...install, "--download-only", ...entry.packages]
  try {
    await run("apt-get", download, quiet).catch(async () => {
      await run("apt-get", [...options, ...own, "update"], quiet)
      await run("apt-get", [...own, ...download], quiet)
    })
    const tree = join(work, "tree")
    const archives = join(cache, "archives")
    await unpack(
      (await readdir(archives)).filter((file) => file.endsWith(".deb")).map((file) => join(archives, file)),
      tree,
      entry.programs,
      entry.at
    )
    // Whoever comes second finds the folder there and keeps it.
    await rename(tree, target).catch((cause: unknown) => {
      if (!existsSync(target)) throw cause
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** Finds the programs of one entry of `packages.json`, or brings them; fails with `MissingProgram`, naming the packages. */
export const ensureService = async (name: string): Promise<Service> => {
  const entry = entries[name]
  if (entry === undefined) throw new Error(`scripts/services/packages.json has no entry "${name}"; add one.`)
  const filesBelow = (root: string) => (entry.files ?? []).every((file) => existsSync(join(root, file)))
  const installed = filesBelow("/") ? onPath(entry.programs) : undefined
  if (installed !== undefined) return { programs: installed, root: "/" }
  const target = join(repository, ".cache", "debian", `${name}-${process.arch}`)
  const unpacked = () => inFolders([join(target, "bin")], entry.programs)
  const cached = unpacked()
  if (cached !== undefined) return { programs: cached, root: target }
  const asRoot = process.getuid?.() === 0
  try {
    if (onPath(["apt-get"]) === undefined) throw new Error("this system has no apt-get")
    console.error(`Bringing ${entry.packages.join(", ")} for ${name} (once) …`)
    await (asRoot ? installAsRoot(entry.packages) : downloadAndUnpack(entry, target))
  } catch (cause) {
    throw new MissingProgram(
      `${name} needs the Debian packages ${entry.packages.join(", ")}, and they could not be brought: ` +
        `${cause instanceof Error ? cause.message : String(cause)}. ` +
        `Install them (sudo apt-get install --no-install-recommends ${entry.packages.join(" ")}), then run this again.`,
      { cause }
    )
  }
  const programs = asRoot ? onPath(entry.programs) : unpacked()
  if (programs === undefined)
    throw new MissingProgram(
      `${name}: ${entry.packages.join(", ")} are installed, but not all of ${entry.programs.join(", ")} came with them. ` +
        `Correct scripts/services/packages.json.`
    )
  return { programs, root: asRoot ? "/" : target }
}

/** Absolute path of one program of `packages.json`, brought when it is not there. */
export const ensureProgram = async (program: string): Promise<string> => {
  const found = onPath([program])?.[program]
  if (found !== undefined) return found
  const name = Object.keys(entries).find((key) => entries[key]?.programs.includes(program))
  if (name === undefined) throw new Error(`No entry of scripts/services/packages.json brings "${program}"; add one.`)
  return (await ensureService(name)).programs[program] as string
}
