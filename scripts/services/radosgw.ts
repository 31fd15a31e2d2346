/**
 * A real S3 server for tests: a private Ceph cluster of one monitor, one store in memory and one RADOS Gateway, on free ports of the
 * loopback, in a temporary folder. It needs no root. What a killed test left running is ended by the next start.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes, randomUUID } from "node:crypto"
import { once } from "node:events"
import { closeSync, openSync } from "node:fs"
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { ensureService, type Service } from "./debian.ts"
import { freePort } from "./port.ts"
import { run } from "./run.ts"

export interface RadosGateway {
  readonly endpoint: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Gateways before version 18 do not take the checksums that the AWS SDK sends by default. */
  readonly checksums: "supported" | "required"
  /** Runs `radosgw-admin` with these arguments. */
  readonly admin: (...args: ReadonlyArray<string>) => Promise<string>
  readonly stop: () => Promise<void>
}

const folderPrefix = "mahalla-radosgw-"

const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false))
    socket.on("connect", () => socket.destroy())
  })

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** Ends what still runs of a cluster whose test is gone. A process id that now means another program is left alone. */
const sweep = async () => {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(folderPrefix)) continue
    const folder = join(tmpdir(), name)
    if ((await stat(folder)).uid !== process.getuid?.()) continue
    const owner = Number(await readFile(join(folder, "owner.pid"), "utf8").catch(() => "0"))
    if (owner === 0 || alive(owner)) continue
    for (const file of (await readdir(folder)).filter((entry) => entry.endsWith(".pid"))) {
      const pid = Number(await readFile(join(folder, file), "utf8"))
      const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")
      if (command.includes(folder)) process.kill(pid, "SIGKILL")
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

const configuration = (folder: string, service: Service, library: string, ports: ReadonlyArray<number>) => `[global]
fsid = ${randomUUID()}
mon host = [v2:127.0.0.1:${ports[0]},v1:127.0.0.1:${ports[1]}]
public addr = 127.0.0.1
keyring = ${folder}/keyring
run dir = ${folder}
log file = ${folder}/$name.log
admin socket =
pid file =
erasure code dir = ${join(service.root, library, "ceph/erasure-code")}
plugin dir = ${join(service.root, library, "ceph")}
osd class dir = ${join(service.root, library, "rados-classes")}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 2000

[mon.a]
mon data = ${folder}/mon

[osd]
osd data = ${folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296

[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:${ports[2]}
`

/** Where Debian puts shared libraries on this kind of processor. */
const libraryFolder = async (root: string) => {
  for (const name of await readdir(join(root, "usr/lib"))) {
    const folder = join("usr/lib", name)
    if ((await readdir(join(root, folder, "rados-classes")).catch(() => [])).length > 0) return folder
  }
  throw new Error("The rados-classes folder of the package ceph-osd was not found; install the package again.")
}

/** Starts one; ready in about 15 seconds. Call `stop` at the end. */
export const startRadosgw = async (): Promise<RadosGateway> => {
  const service = await ensureService("radosgw")
  await sweep()
  const folder = await mkdtemp(join(tmpdir(), folderPrefix))
  await writeFile(join(folder, "owner.pid"), String(process.pid))
  const conf = join(folder, "ceph.conf")
  const ports = [await freePort(), await freePort(), await freePort()]
  await writeFile(conf, configuration(folder, service, await libraryFolder(service.root), ports))
  const program = (name: string) => service.programs[name] as string
  const ceph = (name: string, ...args: ReadonlyArray<string>) => run(program(name), ["-c", conf, ...args])

  const children: Array<ChildProcess> = []
  const killAll = () => children.forEach((child) => child.kill("SIGKILL"))
  process.once("exit", killAll)
  const daemon = async (name: string, ...args: ReadonlyArray<string>) => {
    const log = openSync(join(folder, `${name}.out`), "w")
    const child = spawn(program(name), ["-c", conf, "-f", ...args], { stdio: ["ignore", log, log] })
    closeSync(log)
    child.on("error", () => {})
    children.push(child)
    await writeFile(join(folder, `${name}.pid`), String(child.pid))
  }
  const stop = async () => {
    process.removeListener("exit", killAll)
    for (const child of children.filter((each) => each.exitCode === null && each.signalCode === null)) {
      const ended = once(child, "exit")
      child.kill("SIGKILL")
      await ended
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  const waitFor = async (what: string, ready: () => Promise<boolean>) => {
    for (let left = 600; left > 0; left--) {
      if (children.some((child) => child.exitCode !== null)) break
      if (await ready()) return
      await sleep(100)
    }
    const logs = (await readdir(folder)).filter((file) => /[.](out|log)$/.test(file))
    const said = await Promise.all(logs.map(async (file) => (await readFile(join(folder, file), "utf8")).slice(-600)))
    throw new Error(`The test's S3 server did not start (${what}). Its last words:\n${said.join("\n")}`)
  }

  try {
    const keyring = join(folder, "keyring")
    const key = (name: string, ...caps: ReadonlyArray<string>) =>
      run(program("ceph-authtool"), [
        ...(name === "mon." ? ["--create-keyring"] : []),
        keyring,
        "--gen-key",
        "-n",
        name,
        ...caps.flatMap((cap) => ["--cap", ...cap.split("=")])
      ])
    await key("mon.", "mon=allow *")
    await key("client.admin", "mon=allow *", "osd=allow *", "mds=allow *", "mgr=allow *")
    await key("client.rgw", "mon=allow rw", "osd=allow rwx")
    await key("osd.0", "mon=allow profile osd", "osd=allow *")
    await mkdir(join(folder, "mon"))
    await mkdir(join(folder, "osd"))
    const map = join(folder, "monmap")
    const fsid = /fsid = (.*)/.exec(await readFile(conf, "utf8"))?.[1] ?? ""
    const address = `[v2:127.0.0.1:${ports[0]},v1:127.0.0.1:${ports[1]}]`
    await run(program("monmaptool"), ["--create", "--fsid", fsid, "--addv", "a", address, map])
    await ceph("ceph-mon", "--mkfs", "-i", "a", "--monmap", map, "--keyring", keyring)
    await daemon("ceph-mon", "-i", "a")
    await waitFor("monitor", () => answers(ports[0] as number))
    await ceph("ceph", "osd", "create")
    await ceph("ceph-osd", "-i", "0", "--mkfs")
    await ceph("ceph", "osd", "crush", "add", "osd.0", "1.0", "host=localhost", "root=default")
    await daemon("ceph-osd", "-i", "0")
    await daemon("radosgw", "-n", "client.rgw")
    await waitFor("gateway", () => answers(ports[2] as number))
    const admin = (...args: ReadonlyArray<string>) => ceph("radosgw-admin", "-n", "client.rgw", ...args)
    const accessKeyId = "test"
    const secretAccessKey = randomBytes(20).toString("hex")
    const keys = [`--access-key=${accessKeyId}`, `--secret=${secretAccessKey}`]
    await admin("user", "create", "--uid=test", "--display-name=test", ...keys)
    const version = Number(/version (\d+)/.exec(await ceph("radosgw", "--version"))?.[1])
    return {
      endpoint: `http://127.0.0.1:${ports[2]}`,
      region: "us-east-1",
      accessKeyId,
      secretAccessKey,
      checksums: version >= 18 ? "supported" : "required",
      admin,
      stop
    }
  } catch (error) {
    await stop()
    throw error
  }
}
