import { Host, IdentityCheck, type Plugin } from "@mahalla/core/plugin"
import { hostOutward, IdentityCheckPeople, identityCheckSuite } from "@mahalla/core/testing"
import { spawnSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterAll, describe, expect, it } from "vitest"
import { importCsv } from "./importCsv.ts"
import { memberList } from "./index.ts"
import { writeList } from "./listFile.ts"

const folder = mkdtempSync(join(tmpdir(), "mahalla-members-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const key = "a key of the tests that is long enough"
const main = fileURLToPath(new URL("./main.ts", import.meta.url))
let tables = 0

/** Makes a list of a table. */
const make = (csv: string, list = join(folder, `${++tables}.list`)) => {
  writeFileSync(list, writeList(key, importCsv(key, csv)))
  return list
}

/** Runs the program on a table; gives its list, and what it said. */
const program = (csv: string, withKey = key) => {
  const [table, list] = [join(folder, `${++tables}.csv`), join(folder, `${tables}.list`)]
  writeFileSync(table, csv)
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    ["--conditions=@mahalla/source", "--disable-warning=ExperimentalWarning", main, table, list],
    { encoding: "utf8", env: { ...process.env, MAHALLA_MEMBER_LIST_KEY: withKey } }
  )
  return { list, status, said: stdout + stderr }
}

const society = `number,birthDate,name,left
M-0017,1990-07-12,Nodira Karimova,
M-0018,1985-02-28,"Oʻktam Yoʻldoshev, Jr.",
m 0019,1971-11-03,Sardor Aliyev,2020-01-31
`
const config = (file: string, withKey = key) => ({ title: { en: "Society" }, file, key: withKey })
const open = (plugin: Plugin) =>
  plugin.layer.pipe(
    Layer.provide(Layer.succeed(Host, { instance: "members", home: folder, scratch: folder, mode: "production" })),
    Layer.provide(hostOutward())
  ) as Layer.Layer<IdentityCheck, unknown>

const known = { number: "M0017", birthDate: "1990-07-12", name: "Nodira Karimova" }
const people = IdentityCheckPeople.of({
  known,
  other: { number: "M0018", birthDate: "1985-02-28", name: "Oʻktam Yoʻldoshev, Jr." },
  stranger: { ...known, number: "M0099" },
  mistaken: { ...known, birthDate: "1991-07-12" },
  gone: { number: "M0019", birthDate: "1971-11-03", name: "Sardor Aliyev" }
})

const { list } = program(society)
const layer = Layer.effectContext(
  Effect.map(Layer.build(open(memberList(config(list)))), (context) =>
    Context.add(context, IdentityCheckPeople, people)
  )
)
identityCheckSuite.run({ describe, it }, { name: "member-list", layer })

const check = (claims: typeof known) =>
  Effect.flatMap(IdentityCheck, (register) => register.check({ id: randomUUID(), claims, purpose: "A test" }))
const run = <A>(effect: Effect.Effect<A, unknown, IdentityCheck>, file: string, withKey = key) =>
  Effect.runPromise(Effect.provide(effect, open(memberList(config(file, withKey)))))

describe("list of members", () => {
  it("holds no member in clear and is readable by its owner alone", () => {
    const text = readFileSync(list, "utf8")
    expect(text).not.toMatch(/0017|Nodira|karimova|1990|Aliyev/i)
    expect(text.split("\n")).toHaveLength(5)
    expect(statSync(list).mode & 0o777).toBe(0o600)
  })

  it("knows a name whatever its capitals, apostrophes and order", async () => {
    for (const name of ["KARIMOVA nodira", "Nodira  Karimova"])
      expect(await run(check({ ...known, name }), list)).toMatchObject({ state: "confirmed", assurance: "low" })
    for (const name of ["oktam yoldoshev jr", "O'ktam Yo`ldoshev Jr"])
      expect(await run(check({ ...people.other, name } as typeof known), list)).toMatchObject({ state: "confirmed" })
    expect(await run(check({ ...known, name: "Nodir Karimov" }), list)).toMatchObject({ state: "not-confirmed" })
  })

  it("is read again when there is a newer one, and refused when it asks for something else", async () => {
    const file = make(society)
    const states = await run(
      Effect.gen(function* () {
        const first = yield* check(known)
        make(society.replace("Nodira Karimova,", "Nodira Karimova,2021-05-01"), file)
        const second = yield* check(known)
        make("number\nM-0017\n", file)
        const third = yield* Effect.flip(check(known))
        return [first.state, second, third]
      }),
      file
    )
    expect(states).toMatchObject([
      "confirmed",
      { state: "not-confirmed", reason: "not-valid" },
      { reason: "Unavailable", retryable: true }
    ])
  })

  it("does not open with another key, cut off or damaged", async () => {
    await expect(run(check(known), list, `${key}!`)).rejects.toThrow("another key")
    const cut = make(society)
    writeFileSync(cut, readFileSync(cut, "utf8").slice(0, -5))
    await expect(run(check(known), cut)).rejects.toThrow("cut off")
    const damaged = make(society)
    appendFileSync(damaged, "M-0017\n")
    await expect(run(check(known), damaged)).rejects.toThrow(/Line 5 .* damaged/)
    await expect(run(check(known), join(folder, "none.list"))).rejects.toThrow("did not start")
  })

  it("is not made from a table with a mistake, which is named by its line alone", () => {
    for (const [csv, word] of [
      ["number,phone\nM-1,+998901234567\n", "The first line must name the columns"],
      ["birthDate\n1990-01-01\n", "The first line must name the columns"],
      ["number,birthDate\nM-1,1990-01-01\nM-2,31.02.1990\n", "Line 3: birthDate"],
      ["number\nM-1\nm 1\n", "Line 3: this number stands in the table twice"],
      ["number,name\nM-1,\n", "Line 2: name is empty"],
      ["number\n\n", "no member"],
      ["number,birthDate\nM-1,1990-01-01,more\n", "Invalid Record Length"]
    ] as const) {
      expect(() => importCsv(key, csv)).toThrow(word)
      expect(() => importCsv(key, csv)).not.toThrow(/31\.02|998901234567/)
    }
    expect(program("number\nM-1\nm 1\n")).toMatchObject({
      status: 65,
      said: "Line 3: this number stands in the table twice.\n"
    })
    expect(program(society, "short").status).toBe(64)
  })
})
