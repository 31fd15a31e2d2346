/** A hook of its own: an event and a job with each report, in its transaction. */
const hook = `export default ({ filter }, { services }) => {
  filter("report.items.create", async (payload, _meta, { schema, database, accountability }) => {
    for (const [collection, row] of [["event", { type: "report.created", payload }], ["job", { type: "bench.created", payload: {} }]])
      await new services.ItemsService(collection, { schema, knex: database, accountability: { ...accountability, admin: true } }).createOne(row)
    return payload
  })
}
`

/**
 * Directus on a database of its own, with the Node its native addon was built for: static admin token, rate limiter off, one collection
 * with a uuid key. Undefined where there is no such Node.
 */
import { spawn, spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { once } from "node:events"
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { freePort } from "../../scripts/services/port.ts"
import { ensurePeers, peerFolder } from "../peers.mjs"
import type { Server } from "../http/processes.ts"

const token = "bench-token-of-the-administrator"

/** Directus 12.3.1 builds its addon for Node 20 only. */
const findNode = (): string | undefined =>
  [process.env["BENCH_NODE20"], "/usr/bin/node"].find(
    (path): path is string =>
      path !== undefined && existsSync(path) && spawnSync(path, ["-v"], { encoding: "utf8" }).stdout.startsWith("v20.")
  )

export const startDirectus = async (databaseUrl: string, home: string, like = false): Promise<Server | undefined> => {
  const node = findNode()
  if (node === undefined) return undefined
  ensurePeers("directus", node)
  const url = new URL(databaseUrl)
  const port = await freePort()
  const env = {
    ...process.env,
    HOST: "127.0.0.1",
    PORT: String(port),
    PUBLIC_URL: `http://127.0.0.1:${port}`,
    SECRET: "bench-secret-bench-secret-bench-secret",
    DB_CLIENT: "pg",
    DB_HOST: url.hostname,
    DB_PORT: url.port,
    DB_DATABASE: url.pathname.slice(1),
    DB_USER: url.username,
    DB_PASSWORD: url.password,
    ADMIN_EMAIL: "admin@example.com",
    ADMIN_PASSWORD: "bench-password",
    ADMIN_TOKEN: token,
    RATE_LIMITER_ENABLED: "false",
    LOG_LEVEL: "error",
    TELEMETRY: "false",
    STORAGE_LOCATIONS: "local",
    STORAGE_LOCAL_ROOT: join(home, "uploads"),
    EXTENSIONS_PATH: join(home, "extensions"),
    NODE_ENV: "production"
  }
  if (like) {
    const extension = join(home, "extensions", "reports")
    await mkdir(join(extension, "dist"), { recursive: true })
    await writeFile(join(extension, "dist", "index.js"), hook)
    await writeFile(
      join(extension, "package.json"),
      JSON.stringify({
        name: "directus-extension-reports",
        version: "1.0.0",
        type: "module",
        "directus:extension": { type: "hook", path: "dist/index.js", source: "src/index.js", host: "^12.0.0" }
      })
    )
  }
  const cli = join(peerFolder("directus"), "node_modules/directus/cli.js")
  const bootstrap = spawnSync(node, [cli, "bootstrap"], { env, cwd: home, encoding: "utf8" })
  if (bootstrap.status !== 0) throw new Error(`Directus did not bootstrap: ${bootstrap.stdout}${bootstrap.stderr}`)
  const child = spawn(node, [cli, "start"], { env, cwd: home, stdio: ["ignore", "ignore", "inherit"] })
  const call = (path: string, init: RequestInit = {}) =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" }
    })
  for (let tries = 0; ; tries++) {
    if (child.exitCode !== null || tries > 600) throw new Error("Directus did not start")
    if (
      await call("/server/ping")
        .then((answer) => answer.ok)
        .catch(() => false)
    )
      break
    await sleep(100)
  }
  const field = (name: string, type: string) => ({ field: name, type, schema: {}, meta: {} })
  for (const name of like ? ["event", "job"] : []) {
    const made = await call("/collections", {
      method: "POST",
      body: JSON.stringify({
        collection: name,
        schema: {},
        meta: { accountability: null },
        fields: [
          {
            field: "id",
            type: "uuid",
            schema: { is_primary_key: true, length: 36, has_auto_increment: false },
            meta: { special: ["uuid"] }
          },
          field("type", "string"),
          { field: "payload", type: "json", schema: {}, meta: { special: ["cast-json"] } }
        ]
      })
    })
    if (!made.ok) throw new Error(`Directus made no collection ${name}: ${await made.text()}`)
  }
  const made = await call("/collections", {
    method: "POST",
    body: JSON.stringify({
      collection: "report",
      schema: {},
      // Who changed what is written down, as its administrators have it by default.
      meta: { accountability: "all" },
      fields: [
        {
          field: "id",
          type: "uuid",
          schema: { is_primary_key: true, length: 36, has_auto_increment: false },
          meta: { special: ["uuid"] }
        },
        ...["title", "category"].map((name) => field(name, "string")),
        field("description", "text"),
        ...["lat", "lon"].map((name) => field(name, "float"))
      ]
    })
  })
  if (!made.ok) throw new Error(`Directus made no collection: ${await made.text()}`)
  return {
    target: { port, facts: { token } },
    pid: child.pid ?? 0,
    stop: async () => {
      const exit = once(child, "exit")
      child.kill()
      await exit
    }
  }
}
