/**
 * `kill -9` while keys are changed, copies are made and people are erased, at random moments: nothing is half done at any of them, and all of it
 * ends with the next process. `MAHALLA_SOAK=1` runs 60 rounds.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { randomInt } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { City } from "@mahalla/core"
import { BlobStore } from "@mahalla/core/plugin"
import { freshDatabase } from "@mahalla/core/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import pg from "pg"
import { afterAll, beforeAll, expect, inject, test } from "vitest"
import { until } from "./client.ts"
import { pause } from "./kill/processes.ts"
import { cityAt, type Where } from "./personal/city.ts"
import { type Ask, type Person, readable, settle, slug, withFilm } from "./personal/people.ts"

const soak = process.env["MAHALLA_SOAK"] === "1"
const rounds = soak ? 60 : 3
/** Of each round: people who take a copy, and people who go. */
const [copies, leaving] = [2, 4]
const population = rounds * (copies + leaving) + 3_000

const scope = Scope.makeUnsafe()
let where: Where
let city: City
let tenantId: string
let ask: Ask
let database: pg.Client
/** A second look at the database, for what must be held meanwhile. */
let holder: pg.Client
const children = new Set<ChildProcess>()

beforeAll(async () => {
  const { admin, owner } = await Effect.runPromise(Scope.provide(freshDatabase(inject("postgresUrl")), scope))
  where = { databaseUrl: Redacted.value(owner), home: mkdtempSync(join(tmpdir(), "mahalla-personal-kill-")) }
  const connect = async () => {
    const client = new pg.Client({ connectionString: Redacted.value(admin) })
    client.on("error", () => {})
    await client.connect()
    return client
  }
  ;[database, holder] = [await connect(), await connect()]
  ask = async <Row extends object>(text: string, values: ReadonlyArray<unknown> = []) =>
    (await database.query<Row & pg.QueryResultRow>(text, [...values])).rows
  city = cityAt(where, [])
  await city.start()
  const made = await city.admin.tenants.create({
    slug,
    name: "Samarkand",
    settings: {
      timeZone: "Asia/Samarkand",
      languages: ["en"],
      country: "UZ",
      currency: "UZS",
      calendar: { days: [1], from: "09:00", to: "18:00", holidays: [] },
      corsOrigins: []
    }
  })
  tenantId = made.tenantId
})
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL")
  await city?.close()
  await holder?.end()
  await database?.end()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(where.home, { recursive: true, force: true })
})

const start = async () => {
  const child = spawn(
    process.execPath,
    [
      "--conditions=@mahalla/source",
      "--disable-warning=ExperimentalWarning",
      join(import.meta.dirname, "personal/killable.ts"),
      JSON.stringify(where)
    ],
    { stdio: ["ignore", "ignore", "inherit", "ipc"] }
  )
  children.add(child)
  await new Promise<void>((resolve, reject) => {
    child.once("message", () => resolve())
    child.once("exit", (code) => reject(new Error(`The city ended with ${code}`)))
  })
  return child
}

const kill = async (child: ChildProcess) => {
  await new Promise<void>((resolve) => {
    child.removeAllListeners("exit").once("exit", () => resolve())
    child.kill("SIGKILL")
  })
  children.delete(child)
}

/** As after the half minute for which what a dead process held is kept for it. */
const timePasses = async () => {
  await ask("update mahalla.lease set until = now() - interval '1 second'")
  await ask(
    "update mahalla.job set lease_until = now() - interval '1 second', run_at = least(run_at, now()) where state = 'ready'"
  )
  await ask("update mahalla.tenant_key set made_at = made_at - interval '1 hour'")
}

/** What the door does: the request, its job and, of who goes, the end of their sessions. */
const request = async (kind: "export" | "erasure", { id }: Person) => {
  const [made] = await ask<{ id: string }>(
    `with made as (
       insert into mahalla.person_request (tenant_id, id, kind, principal_id, requested_at) values ($1, gen_random_uuid(), $2, $3, now()) returning id),
     work as (
       insert into mahalla.job (tenant_id, id, topic, body)
       select $1, gen_random_uuid(), $4, jsonb_build_object('requestId', id) from made)
     select id from made`,
    [tenantId, kind, id, kind === "export" ? "person.export" : "person.erase"]
  )
  if (kind === "erasure") await ask("update mahalla.principal set status = 'blocked' where id = $1", [id])
  return made!.id
}

/** Of each person who goes, in one look: what is left, and what their request says. Whole or gone is good, in between is not. */
const halfErased = () =>
  ask(
    `select p.id, p.status, r.state from mahalla.person_request r join mahalla.principal p on p.tenant_id = r.tenant_id and p.id = r.principal_id
     cross join lateral (select
       (p.phone is not null or p.phone_sealed is not null)::int + (p.name is not null or p.name_sealed is not null)::int
       + (select count(*)::int from mahalla.event_personal v where v.tenant_id = p.tenant_id and v.person_id = p.id)
       + (select count(*)::int from mahalla.session s where s.tenant_id = p.tenant_id and s.principal_id = p.id) as held,
       (select count(*)::int from mahalla.event e where e.tenant_id = p.tenant_id and e.type = 'person.erased' and e.payload ->> 'requestId' = r.id::text) as told) c
     where r.kind = 'erasure' and (p.status, r.state, held, told) not in (('blocked', 'waiting', 4, 0), ('erased', 'done', 0, 1))`
  )

const pythonReads = `
import hashlib, json, sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
files = [n for n in z.namelist() if n != "data.json"]
print(json.dumps({"profile": json.loads(z.read("data.json"))["profile"], "files": [hashlib.sha256(z.read(n)).hexdigest() for n in files]}))
`
/** Copies that are said to be there: each is whole, and says what is held of this person. */
const brokenCopies = async (people: ReadonlyMap<string, Person>) => {
  const done = await ask<{ key: string; person: string; size: string }>(
    "select blob_key as key, principal_id as person, size::text as size from mahalla.person_request where kind = 'export' and state = 'done'"
  )
  const broken: Array<unknown> = []
  for (const { key, person, size } of done) {
    const chunks = await city.admin.run(
      slug,
      Effect.flatMap(BlobStore, (blobs) => Stream.runCollect(blobs.get(key)))
    )
    const file = join(where.home, "copy.zip")
    const bytes = Buffer.concat([...chunks])
    writeFileSync(file, bytes)
    const { stderr, stdout } = spawnSync("python3", ["-c", pythonReads, file], { encoding: "utf8" })
    const { file: sent, phone } = people.get(person)!
    const read =
      stdout === "" ? { stderr } : (JSON.parse(stdout) as { profile: { phone: string }; files: ReadonlyArray<string> })
    const good = "profile" in read && read.profile.phone === phone && read.files.join() === sent
    if (!good || String(bytes.length) !== size) broken.push({ person, size, read })
  }
  return broken
}

/** Everybody who has not gone: their values open, under whichever key they are, and are what they were. Who has gone left none. */
const unreadable = async (people: ReadonlyMap<string, Person>) => {
  const seen = await readable(city)
  return [...people.values()].flatMap(({ id, phone }) => {
    const found = seen.get(id)
    const good =
      found?.status === "erased"
        ? found.phone === null && found.value === null
        : found?.phone === phone && found.value === phone && found.proved
    return good ? [] : [{ id, expected: phone, found }]
  })
}

const atWork = async () => {
  const [row] = await ask<{ sealing: boolean; jobs: number; taken: number }>(
    `select (select coalesce(bool_or(finished_at is null) and bool_or(done > 0), false) from mahalla.reseal) as sealing,
       (select count(*)::int from mahalla.job where topic like 'person.%') as jobs,
       (select count(*)::int from mahalla.job where topic like 'person.%' and lease_until > now()) as taken`
  )
  return row!
}

test(
  "killed_at_random_moments_nothing_is_half_done_and_all_of_it_ends",
  async () => {
    const settled = await settle(ask, tenantId, population)
    const people = new Map(settled.map((person) => [person.id, person]))
    const next = settled.values()
    const some = (amount: number) => Array.from({ length: amount }, () => next.next().value!)
    const hits = { sealing: 0, taken: 0 }
    for (let round = 0; round < rounds; round++) {
      const takers = await Promise.all(some(copies).map((person) => withFilm(city, ask, tenantId, person)))
      for (const person of takers) people.set(person.id, person)
      for (const person of takers) await request("export", person)
      for (const person of some(leaving)) await request("erasure", person)
      // One change of keys ends before another begins: then this begins none.
      await city.admin.keys.rotate(slug)
      const child = await start()
      const aim = (["sealing", "taken", "any"] as const)[round % 3]!
      // Work may be over before anybody has seen it: that round strikes what is left.
      await until("work begins", async () => {
        const { jobs, sealing, taken } = await atWork()
        return (aim !== "taken" && sealing) || (aim !== "sealing" && taken > 0) || (jobs === 0 && !sealing)
      })
      // Near its first step, or anywhere up to after its last.
      await pause(randomInt(aim === "any" ? 400 : 30))
      await kill(child)
      const { sealing, taken } = await atWork()
      hits.sealing += Number(sealing)
      hits.taken += taken
      expect([await halfErased(), await brokenCopies(people), await unreadable(people)]).toEqual([[], [], []])
      await timePasses()
    }
    expect(Math.min(hits.sealing, hits.taken)).toBeGreaterThan(0)

    const last = await start()
    const ended = async () => {
      const [row] = await ask<{ open: number }>(
        `select ((select count(*) from mahalla.person_request where state = 'waiting')
          + (select count(*) from mahalla.reseal where finished_at is null))::int as open`
      )
      if (row!.open === 0) return true
      await timePasses().then(() => pause(300))
      return false
    }
    await until("all of it has ended", ended, soak ? 300 : 120)
    await until(
      "the old keys are gone",
      async () => {
        await ask("update mahalla.tenant_key set made_at = made_at - interval '1 hour'")
        await pause(300)
        return (await city.admin.keys.state(slug)).keys.length === 1
      },
      120
    )
    await kill(last)
    expect([await halfErased(), await brokenCopies(people), await unreadable(people)]).toEqual([[], [], []])
    const { version } = await city.admin.keys.state(slug)
    const [left] = await ask<{ clear: number; old: number; gone: number; copies: number }>(
      `select (select count(*)::int from mahalla.principal where phone is not null) + (select count(*)::int from mahalla.event_personal where value is not null) as clear,
         (select count(*)::int from mahalla.principal where phone_sealed is not null and not starts_with(phone_sealed, $1))
         + (select count(*)::int from mahalla.event_personal where not starts_with(sealed, $1)) as old,
         (select count(*)::int from mahalla.principal where status = 'erased') as gone,
         (select count(*)::int from mahalla.person_request where kind = 'export' and state = 'done') as copies`,
      [`v1.${version}.`]
    )
    expect(left).toEqual({ clear: 0, old: 0, gone: rounds * leaving, copies: rounds * copies })
    console.log(
      `${rounds} kills: ${hits.sealing} while a key was changed, ${hits.taken} copies and erasures that had begun; key ${version} in the end`
    )
  },
  soak ? 3_600_000 : 240_000
)

test(
  "killed_in_the_middle_of_an_erasure_a_person_is_whole_and_then_gone",
  async () => {
    const [person] = await ask<{ id: string; phone: string }>(
      "select id, name_sealed as phone from mahalla.principal where tenant_id = $1 and status = 'active' and kind = 'person' limit 1",
      [tenantId]
    )
    // The profile goes first and sessions late: whoever holds one stops the job in between.
    await request("erasure", { ...person!, file: null })
    await holder.query("begin")
    await holder.query("select from mahalla.session where principal_id = $1 for update", [person!.id])
    const child = await start()
    await until("the job stands in the middle", async () => {
      const waiting = await ask(
        "select from pg_stat_activity where wait_event_type = 'Lock' and query like '%delete from mahalla.session%' and datname = current_database()"
      )
      return waiting.length > 0
    })
    await kill(child)
    await holder.query("rollback")
    await until("the server has noticed", async () => {
      const left = await ask(
        "select from pg_stat_activity where query like '%delete from mahalla.session%' and state <> 'idle' and pid <> pg_backend_pid() and datname = current_database()"
      )
      return left.length === 0
    })
    const status = async () =>
      (await ask<{ status: string }>("select status from mahalla.principal where id = $1", [person!.id]))[0]!.status
    expect([await halfErased(), await status()]).toEqual([[], "blocked"])
    await timePasses()
    const last = await start()
    await until("they are gone", async () => (await status()) === "erased")
    await kill(last)
    expect(await halfErased()).toEqual([])
  },
  soak ? 600_000 : 240_000
)
