/**
 * Debian packages unpacked into a folder of an ordinary user, with wrappers in `bin` that make their programs run from there.
 */
import { existsSync } from "node:fs"
import { chmod, mkdir, open, readdir, readlink, rm, symlink, writeFile } from "node:fs/promises"
import { basename, isAbsolute, join, relative, resolve } from "node:path"
import { run } from "./run.ts"

/** The system's own loader belongs to its own C library: another version of it would not start. */
const keepOfSystem = /^(libc6|libc-bin|libc-dev-bin|base-files)_/

const folders = async (root: string): Promise<ReadonlyArray<string>> => {
  const entries = await readdir(root, { withFileTypes: true, recursive: true }).catch(() => [])
  const libraries = entries.filter((entry) => /\.so(\.|$)/.test(entry.name)).map((entry) => entry.parentPath)
  return [...new Set(libraries)].sort((a, b) => a.length - b.length)
}

/** What the system has already was not downloaded: links that lead to it from inside the tree lead to the system's own file. */
const mendLinks = async (tree: string) => {
  for (const entry of await readdir(tree, { withFileTypes: true, recursive: true })) {
    const link = join(entry.parentPath, entry.name)
    if (!entry.isSymbolicLink() || existsSync(link)) continue
    const meant = join("/", relative(tree, resolve(entry.parentPath, await readlink(link))))
    if (!existsSync(meant)) continue
    await rm(link)
    await symlink(meant, link)
  }
}

const firstLine = async (path: string): Promise<string> => {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(128), 0, 128, 0)
    return buffer.subarray(0, bytesRead).toString("latin1").split("\n")[0] ?? ""
  } finally {
    await file.close()
  }
}

/**
 * `exec` keeps the process id, so signals reach the program itself. A script names its interpreter by an absolute path: the one that was
 * unpacked goes first, then the system's own.
 */
const wrapper = (program: string, interpreter: string | undefined, libraries: ReadonlyArray<string>) => {
  const start = `"${isAbsolute(program) ? program : `$root/${program}`}" "$@"`
  return `#!/bin/sh
root=$(CDPATH= cd -- "\${0%/*}/.." && pwd)
LD_LIBRARY_PATH=${libraries.map((folder) => `$root/${folder}`).join(":")}\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
PATH=$root/usr/bin:$root/usr/sbin:$PATH
PYTHONPATH=$root/usr/lib/python3/dist-packages
export LD_LIBRARY_PATH PATH PYTHONPATH
[ ! -e "$root/usr/bin/python3" ] || export PYTHONHOME="$root/usr"
[ ! -e "$root/etc/fonts/fonts.conf" ] || [ ! -d "$root/usr/share/fonts" ] || export FONTCONFIG_SYSROOT="$root"
${
  interpreter === undefined
    ? `exec ${start}`
    : `[ -e "$root${interpreter}" ] && exec "$root${interpreter}" ${start}
exec ${interpreter} ${start}`
}
`
}

export const unpack = async (
  archives: ReadonlyArray<string>,
  tree: string,
  programs: ReadonlyArray<string>,
  at: Readonly<Record<string, string>> = {}
): Promise<void> => {
  await mkdir(join(tree, "bin"), { recursive: true })
  for (const archive of archives)
    if (!keepOfSystem.test(basename(archive))) await run("dpkg-deb", ["--extract", archive, tree])
  await mendLinks(tree)
  const libraries = [...(await folders(join(tree, "usr", "lib"))), ...(await folders(join(tree, "lib")))].map(
    (folder) => relative(tree, folder)
  )
  for (const program of programs) {
    const places = ["usr/bin", "usr/sbin", "bin", "sbin"].map((folder) => `${folder}/${program}`)
    // What the system has already was not downloaded, and yet it must see what was.
    for (const candidate of [at[program], ...places, ...places.map((place) => `/${place}`)]) {
      if (candidate === undefined) continue
      const line = await firstLine(resolve(tree, candidate)).catch(() => undefined)
      if (line === undefined) continue
      const interpreter = line.startsWith("#!") ? line.slice(2).trim().split(/\s+/)[0] : undefined
      const file = join(tree, "bin", program)
      await writeFile(file, wrapper(candidate, interpreter, libraries))
      await chmod(file, 0o755)
      break
    }
  }
}
